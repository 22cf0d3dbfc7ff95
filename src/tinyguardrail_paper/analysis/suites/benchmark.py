"""A public benchmark: which rows of which source, or of a few sources, it is.

Only the full scale has such rows. They are chosen by source *and* family, as the loaders write
both, because a source also gives the texts of compositions and obfuscations, which keep its name.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from tinyguardrail_paper.analysis.scores import Scores
from tinyguardrail_paper.analysis.suites.suite import Suite, select, untransformed

GROUP = "public"


@dataclass(frozen=True)
class Published:
    """Accuracies that others report, by guard, and why they cannot be held against ours, if so."""

    accuracy: Mapping[str, float]
    not_comparable: str = ""


@dataclass(frozen=True)
class Benchmark:
    """One public test set.

    Attributes:
        name: of the suite in `results/metrics.json`.
        source, family: patterns that the whole source, a row of the registry, and the whole family match.
        kind: what its rows are, and so what can be measured.
        published: what others report of a metric.
    """

    name: str
    title: str
    source: str
    family: str
    kind: str
    published: Mapping[str, Published] = field(default_factory=dict)

    def members(self, scores: Scores) -> np.ndarray:
        """(N,) bool: its untransformed rows, of any split."""
        own = untransformed(scores)
        for column, pattern in (("source", self.source), ("family", self.family)):
            names = [name for name in set(scores.rows[column][own]) if re.fullmatch(pattern, name)]
            own &= np.isin(scores.rows[column].astype(str), names)
        return own

    def __call__(self, scores: Scores) -> Iterator[Suite]:
        mask = self.members(scores)
        yield select(scores, mask, name=self.name, title=self.title, group=GROUP, kind=self.kind)
