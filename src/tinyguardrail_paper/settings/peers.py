"""Settings of the peers: other people's guards, measured as shipped beside ours."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from tinyguardrail_common.param_types import Count, Strict

PeerName = Literal["stackone_defender", "metatronnanoguard", "prompt_guardrail"]
SplitName = Literal["validation", "test"]


def _all_differ(names: list[str]) -> list[str]:
    if len(set(names)) != len(names):
        raise ValueError(f"must all differ; found {', '.join(names)}")
    return names


class Peers(Strict):
    """Which guards are measured, and on which rows.

    Attributes:
        names: of `experiments/peers/peers.yaml`.
        allow_missing: a guard whose environment cannot be installed here is reported as not installed;
            otherwise that stops the stage.
        splits: whose rows are scored.
        rows_per_group: at most, evenly spaced, of each group of rows that a test set is made of (one split,
            label, source, family and transform); None scores all.
    """

    names: Annotated[list[PeerName], Field(min_length=1), AfterValidator(_all_differ)]
    allow_missing: bool
    splits: Annotated[list[SplitName], Field(min_length=1), AfterValidator(_all_differ)]
    rows_per_group: Count | None
