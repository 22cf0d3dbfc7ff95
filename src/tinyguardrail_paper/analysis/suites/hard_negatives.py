"""Untransformed benign rows made to look like attacks: all of them, and by family."""

from collections.abc import Iterator

import numpy as np

from tinyguardrail_paper.analysis.metrics.metric import BENIGN
from tinyguardrail_paper.analysis.scores import Scores
from tinyguardrail_paper.analysis.suites.suite import Suite, select, untransformed

NAME = "hard_negatives"
# What the names of their families start with.
FAMILIES = ("trigger_words", "borderline_safety", "about_injection", "technical_documentation")


def is_hard_negative(scores: Scores) -> np.ndarray:
    """(N,) bool, of any split."""
    family = scores.rows["family"].astype(str)
    named = np.any([np.char.startswith(family, start) for start in FAMILIES], axis=0)
    return named & ~scores.threat & untransformed(scores)


def hard_negatives(scores: Scores) -> Iterator[Suite]:
    hard, family = is_hard_negative(scores), scores.rows["family"]
    yield select(scores, hard, name=NAME, title="all hard negatives", group=NAME, kind=BENIGN)
    for name in sorted(set(family[hard & scores.split("test")])):
        own, title = hard & (family == name), name.replace("_", " ")
        yield select(scores, own, name=name, title=title, group=NAME, kind=BENIGN, part_of=NAME)


SUITES = (hard_negatives,)
