"""The guard's metrics on every suite, with intervals over test texts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from tinyguardrail.data.records import LABELS
from tinyguardrail.evaluation import metrics, resampled
from tinyguardrail.evaluation.routing import Decisions
from tinyguardrail.evaluation.scores import Scores
from tinyguardrail.evaluation.significance import ParentBootstrap, percentile_interval
from tinyguardrail.evaluation.suites import Suite
from tinyguardrail.evaluation.summary import Summary, over_texts

Metrics = dict[str, dict[str, Summary]]  # test -> metric -> summary


@dataclass(frozen=True)
class Rows:
    """One seed's view of one suite; every array has shape (n,)."""

    threat: np.ndarray
    score: np.ndarray
    label: np.ndarray
    predicted: np.ndarray
    confidence: np.ndarray
    bins: int

    @property
    def correct(self) -> np.ndarray:
        return (self.label == self.predicted).astype(float)


Point = Callable[[Rows], float]
Resampled = Callable[[Rows, np.ndarray], np.ndarray]

# Metrics of all rows together: the point estimate, and its values over bootstrap weights.
METRICS: dict[str, tuple[Point, Resampled]] = {
    "auc": (
        lambda r: metrics.auc(r.threat, r.score),
        lambda r, w: resampled.auc(r.threat, r.score, w),
    ),
    "tpr_at_1pct_fpr": (
        lambda r: metrics.tpr_at_fpr(r.threat, r.score, 0.01),
        lambda r, w: resampled.tpr_at_fpr(r.threat, r.score, w, 0.01),
    ),
    "tpr_at_3pct_fpr": (
        lambda r: metrics.tpr_at_fpr(r.threat, r.score, 0.03),
        lambda r, w: resampled.tpr_at_fpr(r.threat, r.score, w, 0.03),
    ),
    "tpr_at_0.1pct_fpr": (
        lambda r: metrics.tpr_at_fpr(r.threat, r.score, 0.001),
        lambda r, w: resampled.tpr_at_fpr(r.threat, r.score, w, 0.001),
    ),
    "fpr_at_95pct_recall": (
        lambda r: metrics.fpr_at_recall(r.threat, r.score, 0.95),
        lambda r, w: resampled.fpr_at_recall(r.threat, r.score, w, 0.95),
    ),
    "macro_f1": (
        lambda r: metrics.macro_f1(r.label, r.predicted),
        lambda r, w: resampled.macro_f1(r.label, r.predicted, w),
    ),
    "ece": (
        lambda r: metrics.expected_calibration_error(r.confidence, r.correct, r.bins),
        lambda r, w: resampled.expected_calibration_error(r.confidence, r.correct, w, r.bins),
    ),
}


def evaluate_suites(
    scores: Scores, decisions: Decisions, suites: list[Suite], bootstrap: ParentBootstrap, bins: int
) -> Metrics:
    """Every metric of every suite, averaged over seeds."""
    return {
        suite.name: {
            name: evaluate_metric(name, suite.rows, scores, decisions, bootstrap, bins)
            for name in suite.metrics
        }
        for suite in suites
    }


def evaluate_router(
    scores: Scores, decisions: Decisions, fast: Decisions, deep: Decisions, bootstrap: ParentBootstrap
) -> dict[str, Summary]:
    """Deep share and accuracy of the routed guard, with both branches alone beside it.

    Shares and accuracies are over all test rows, transformed ones included, because that
    is what the router must tell apart.
    """
    test = np.flatnonzero(scores.split("test"))
    validation = np.flatnonzero(scores.split("validation"))
    share = partial(row_mean, scores, decisions.deep)
    found = {"deep_share": share(test), "deep_share_validation": share(validation)}
    for index, label in enumerate(LABELS):
        rows = test[scores.label[test] == index]
        if len(rows):
            found[f"deep_share_{label}"] = share(rows)
    correct = {
        name: each.predicted == scores.label
        for name, each in (("routed", decisions), ("always_fast", fast), ("always_deep", deep))
    }
    found["accuracy"] = row_mean(scores, correct["routed"], test)
    for arm in ("always_fast", "always_deep"):
        found[f"accuracy_{arm}"] = row_mean(scores, correct[arm], test)
        gaps = correct["routed"].astype(float) - correct[arm]
        found[f"accuracy_gap_to_{arm}"] = mean_gap(scores, gaps, test, bootstrap)
    return found


def row_mean(scores: Scores, hits: np.ndarray, rows: np.ndarray) -> Summary:
    """Mean over rows of (S, N) hits, with a clustered Wilson interval of the mean over seeds."""
    own = hits[:, rows].astype(float)
    interval = metrics.clustered_wilson(own.mean(axis=0), scores.rows["parent_id"][rows])
    return over_texts(own.mean(axis=1), interval, len(rows), scores.seeds)


def mean_gap(scores: Scores, gaps: np.ndarray, rows: np.ndarray, bootstrap: ParentBootstrap) -> Summary:
    """Mean over rows of (S, N) differences between two guards, with a bootstrap interval over parents."""
    own = gaps[:, rows]
    samples = resampled.mean(own.mean(axis=0), bootstrap.weights(rows))
    return over_texts(own.mean(axis=1), percentile_interval(samples), len(rows), scores.seeds)


def evaluate_metric(
    name: str,
    rows: np.ndarray,
    scores: Scores,
    decisions: Decisions,
    bootstrap: ParentBootstrap,
    bins: int,
) -> Summary:
    """One metric of the rows given by their indices; `name` as in `METRICS`, or accuracy or a rate."""
    if name == "accuracy":
        return row_mean(scores, decisions.predicted == scores.label, rows)
    if name in ("recall", "false_positive_rate"):
        wanted = scores.threat[rows] == (name == "recall")
        return row_mean(scores, decisions.blocked, rows[wanted])
    point, over_weights = METRICS[name]
    weights = bootstrap.weights(rows)
    views = [
        Rows(
            threat=scores.threat[rows],
            score=decisions.threat_score[seed, rows],
            label=scores.label[rows],
            predicted=decisions.predicted[seed, rows],
            confidence=decisions.confidence[seed, rows],
            bins=bins,
        )
        for seed in range(len(scores.seeds))
    ]
    samples = np.mean([over_weights(view, weights) for view in views], axis=0)
    values = [point(view) for view in views]
    interval = percentile_interval(samples, estimate=float(np.mean(values)))
    return over_texts(values, interval, len(rows), scores.seeds)


def macro_recall(
    scores: Scores, decisions: Decisions, rows: np.ndarray, bootstrap: ParentBootstrap
) -> Summary:
    """Mean over the families of these threats of each one's recall, however many rows it has.

    The interval is a bootstrap over parents; a sample that misses a family has no value.
    """
    families = [rows[scores.rows["family"][rows] == name] for name in np.unique(scores.rows["family"][rows])]
    values = np.mean([decisions.blocked[:, own].mean(axis=1) for own in families], axis=0)
    hits = decisions.blocked.mean(axis=0)
    samples = np.mean([resampled.mean(hits[own], bootstrap.weights(own)) for own in families], axis=0)
    interval = percentile_interval(samples, estimate=float(values.mean()))
    return over_texts(values, interval, len(rows), scores.seeds)


def confusion(scores: Scores, decisions: Decisions) -> np.ndarray:
    """(4, 4) counts over all test rows, summed over seeds; true class by row."""
    test = scores.split("test")
    return sum(
        metrics.confusion_matrix(scores.label[test], predicted[test], len(LABELS))
        for predicted in decisions.predicted
    )
