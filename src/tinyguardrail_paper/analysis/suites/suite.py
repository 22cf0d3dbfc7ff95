"""A suite: named test rows, and through what kind of rows they are which metrics are measured of them."""

from dataclasses import dataclass

import numpy as np

from tinyguardrail.data.records import NO_TRANSFORM
from tinyguardrail.runtime.policy import ANY
from tinyguardrail_paper.analysis.metrics import METRICS
from tinyguardrail_paper.analysis.scores import Scores


@dataclass(frozen=True, kw_only=True)
class Suite:
    """Rows of the test split.

    Attributes:
        name: in `results/metrics.json`.
        group: the suites that it is shown with.
        kind: one of those of `metrics.metric`.
        rows, threat: indices into all rows, (n,), and whether each is a threat of the policy, (n,) bool.
        policy: under which they are judged.
        part_of: the suite that holds these rows and those of their like.
        control: the suite of the benign text put through the same transform.
    """

    name: str
    title: str
    group: str
    kind: str
    rows: np.ndarray
    threat: np.ndarray
    policy: str
    part_of: str | None = None
    control: str | None = None

    @property
    def metrics(self) -> tuple[str, ...]:
        """Names of the metrics that its rows support."""
        return tuple(
            name
            for name, each in METRICS.items()
            if each.supports(self.kind, self.threat) and not (each.of_intents and self.policy != ANY)
        )


def select(scores: Scores, mask: np.ndarray, **fields: str | None) -> Suite:
    """The suite of the test rows in `mask`, (N,) bool, that the policy judges."""
    rows = np.flatnonzero(mask & scores.split("test"))
    return Suite(rows=rows, threat=scores.threat[rows], policy=scores.policy.name, **fields)


def untransformed(scores: Scores) -> np.ndarray:
    """(N,) bool."""
    return scores.rows["transform"] == NO_TRANSFORM
