"""What a metric is: a name, a title, what it needs, how it is measured and how its interval is made."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from tinyguardrail_common.statistics.significance import ParentBootstrap
from tinyguardrail_paper.analysis.intervals import bootstrap_interval
from tinyguardrail_paper.analysis.routing import Decisions
from tinyguardrail_paper.analysis.row_means import row_mean
from tinyguardrail_paper.analysis.scores import Scores
from tinyguardrail_paper.analysis.summary import Format, Summary, over_texts

# What the rows of a suite are, which decides what is measured of them.
BOTH = "threats and benign text"
THREATS = "threats"
BENIGN = "benign text"
ATTACKS = "obfuscated threats and their matched controls"
POOLED = "threats of several methods"


@dataclass(frozen=True)
class Rows:
    """One seed's view of a sample; every array has shape (n,)."""

    threat: np.ndarray
    score: np.ndarray
    blocked: np.ndarray
    intent: np.ndarray
    predicted: np.ndarray
    confidence: np.ndarray
    family: np.ndarray
    bins: int


@dataclass(frozen=True)
class Sample:
    """Some rows (indices into all N) as S guards decide on them, and what intervals are made with."""

    rows: np.ndarray
    scores: Scores
    decisions: Decisions
    bootstrap: ParentBootstrap
    bins: int

    def of_seed(self, seed: int) -> Rows:
        return Rows(
            threat=self.scores.threat[self.rows],
            score=self.decisions.threat_score[seed, self.rows],
            blocked=self.decisions.blocked[seed, self.rows],
            intent=self.scores.intent[self.rows],
            predicted=self.decisions.predicted[seed, self.rows],
            confidence=self.decisions.confidence[seed, self.rows],
            family=self.scores.rows["family"][self.rows],
            bins=self.bins,
        )


@dataclass(frozen=True, kw_only=True)
class Metric(ABC):
    """One metric of test rows.

    Attributes:
        name: in `results/metrics.json`.
        format: how its values are written.
        kinds: of suites that it is measured on.
        least_threats, least_benign: rows without which it has no value.
        of_intents: how the four are told apart, which no policy has a part in: measured under `any` alone.
    """

    name: str
    title: str
    format: Format
    kinds: frozenset[str] = frozenset({BOTH})
    least_threats: int = 0
    least_benign: int = 0
    of_intents: bool = False

    def supports(self, kind: str, threat: np.ndarray) -> bool:
        """Whether it can be measured on rows of this kind, of which `threat`, (n,) bool, are threats."""
        threats = int(threat.sum())
        enough = threats >= self.least_threats and len(threat) - threats >= self.least_benign
        return len(threat) > 0 and kind in self.kinds and enough

    @abstractmethod
    def measure(self, sample: Sample) -> Summary:
        """The value of each seed, their mean, and an interval."""


@dataclass(frozen=True, kw_only=True)
class Rate(Metric):
    """Share of rows that are hits, with a Wilson interval over parents, whose rows are alike, and seeds.

    Attributes:
        hits: (S, N) bool, of all rows.
        counted: from (n,) bool, whether a row is a threat, to (n,) bool, whether it counts.
    """

    format: Format = "percent"
    hits: Callable[[Scores, Decisions], np.ndarray]
    counted: Callable[[np.ndarray], np.ndarray]

    def measure(self, sample: Sample) -> Summary:
        own = sample.rows[self.counted(sample.scores.threat[sample.rows])]
        return row_mean(sample.scores, self.hits(sample.scores, sample.decisions), own)


@dataclass(frozen=True, kw_only=True)
class Statistic(Metric):
    """A metric of all rows together, with a bootstrap interval over parents and seeds, shifted by its bias.

    Attributes:
        point: the value of one seed.
        weighted: the same of (B, n) bootstrap weights, how often each row is drawn, (B,). A sample that
            misses a whole class has no value: NaN, left out of the percentiles.
    """

    point: Callable[[Rows], float]
    weighted: Callable[[Rows, np.ndarray], np.ndarray]

    def measure(self, sample: Sample) -> Summary:
        seeds, weights = sample.scores.seeds, sample.bootstrap.weights(sample.rows)
        views = [sample.of_seed(index) for index in range(len(seeds))]
        samples = np.mean([self.weighted(view, weights) for view in views], axis=0)
        values = [self.point(view) for view in views]
        interval = bootstrap_interval(samples, values, fraction=True)
        return over_texts(values, interval, len(sample.rows), seeds, self.format)
