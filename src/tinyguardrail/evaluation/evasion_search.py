"""A black-box search for harmless text that takes an attack past the deep branch.

The attacker may send the guard any text and sees its router score and its route, nothing
else. Each attack that goes deep is tried with every affix before and after it; the variant
with the lowest router score is kept if it goes fast. An attack that goes fast already, or
that no variant brings there, stays as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from tinyguardrail.data.records import BENIGN, NO_TRANSFORM, Record
from tinyguardrail.inference.runtime import Guard
from tinyguardrail.progress import progress
from tinyguardrail.spread import spread

UNCHANGED = "none"


class Attempt(NamedTuple):
    """What the attacker ends up sending in place of one text."""

    variant: str  # prefix_N or suffix_N with the affix's number, or UNCHANGED
    text: str


def choose_texts(rows: Sequence[Record], count: int) -> list[int]:
    """Indices of untransformed test threats, evenly spread: as many of each label, as far as there are."""
    by_label: dict[str, list[int]] = {}
    for index, row in enumerate(rows):
        if row.split == "test" and row.transform == NO_TRANSFORM and row.label != BENIGN:
            by_label.setdefault(row.label, []).append(index)
    chosen: list[int] = []
    # The smallest group first: what it lacks is left to the others.
    for left, own in zip(range(len(by_label), 0, -1), sorted(by_label.values(), key=len), strict=True):
        wanted = min((count - len(chosen)) // left, len(own))
        chosen += spread(own, wanted)
    return sorted(chosen)


def variants(text: str, affixes: Sequence[str]) -> list[Attempt]:
    """Each affix before the text, then each after it."""
    before = [Attempt(f"prefix_{number}", f"{affix}\n\n{text}") for number, affix in enumerate(affixes)]
    after = [Attempt(f"suffix_{number}", f"{text}\n\n{affix}") for number, affix in enumerate(affixes)]
    return before + after


def search(guard: Guard, text: str, affixes: Sequence[str], batch_size: int) -> Attempt:
    """The variant of lowest router score if the guard sends it to the fast branch, else the text itself."""
    tried = variants(text, affixes)
    scores = guard.score([each.text for each in tried], batch_size)
    best = int(np.argmin(scores.router_score))
    return Attempt(UNCHANGED, text) if scores.deep[best] else tried[best]


def evade(
    guard: Guard, texts: Sequence[str], affixes: Sequence[str], batch_size: int
) -> tuple[dict[str, Any], dict[str, list[Any]]]:
    """Search for every text, and score both branches on what was sent before and after.

    Returns:
        Counts, of queries those of the attacker alone, and columns of two rows per text:
        `text`, `when` (before or after), `variant`, `deep`, `router_score`, and class
        probabilities of both branches as `fast_<label>` and `deep_<label>`.
    """
    first = guard.score(texts, batch_size)
    sent = [
        search(guard, text, affixes, batch_size) if deep else Attempt(UNCHANGED, text)
        for text, deep in progress(list(zip(texts, first.deep, strict=True)), "evasion")
    ]
    columns: dict[str, list[Any]] = {}
    before = [Attempt(UNCHANGED, text) for text in texts]
    for when, attempts in (("before", before), ("after", sent)):
        for name, values in score_branches(guard, attempts, batch_size).items():
            columns.setdefault(name, []).extend(values)
        columns.setdefault("when", []).extend([when] * len(texts))
    after = columns["deep"][len(texts) :]
    attacked = int(first.deep.sum())
    counts = {
        "texts": len(texts),
        "candidates": len(affixes),
        "attacked": attacked,
        "evaded": sum(each.variant != UNCHANGED for each in sent),
        "deep_share_before": attacked / len(texts),
        "deep_share_after": sum(after) / len(texts),
        "queries": len(texts) + attacked * 2 * len(affixes),
    }
    return counts, columns


def score_branches(guard: Guard, attempts: Sequence[Attempt], batch_size: int) -> dict[str, list[Any]]:
    """Columns of one row per text: what each branch says, whichever the router takes."""
    texts = [each.text for each in attempts]
    columns: dict[str, list[Any]] = {
        "text": list(range(len(texts))),
        "variant": [each.variant for each in attempts],
    }
    scores = guard.score_branches(texts, batch_size)
    for branch, probabilities in (("fast", scores.fast), ("deep", scores.deep)):
        for index, label in enumerate(guard.labels):
            columns[f"{branch}_{label}"] = probabilities[:, index].tolist()
    columns["router_score"] = scores.router_score.tolist()
    columns["deep"] = (scores.router_score >= guard.router_threshold).tolist()
    return columns
