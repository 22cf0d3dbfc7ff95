"""Untransformed texts of the authored corpus, compositions of them included."""

from collections.abc import Iterator

import numpy as np

from tinyguardrail_paper.analysis.metrics.metric import BOTH
from tinyguardrail_paper.analysis.scores import Scores
from tinyguardrail_paper.analysis.suites.suite import Suite, select, untransformed

NAME = "authored"


def is_authored(scores: Scores) -> np.ndarray:
    """(N,) bool, of any split."""
    return untransformed(scores) & (scores.rows["source"] == NAME)


def authored(scores: Scores) -> Iterator[Suite]:
    title = "authored text, untransformed"
    yield select(scores, is_authored(scores), name=NAME, title=title, group=NAME, kind=BOTH)


SUITES = (authored,)
