"""Named sets of test rows, and which metrics each of them supports.

An attack's suite holds attacks and, as its control, benign text put through the same
transform. Detection on the one means nothing without false positives on the other: a
detector of flipping flags both.

At the full scale each public benchmark is a suite too: see `benchmarks.py`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tinyguardrail.data.records import LABELS, NO_TRANSFORM, OBFUSCATION
from tinyguardrail.evaluation.benchmarks import BENCHMARKS, DISGUISED
from tinyguardrail.evaluation.scores import BENIGN, Scores

HARD_NEGATIVES = ("trigger_words", "borderline_safety", "about_injection", "technical_documentation")


@dataclass(frozen=True)
class Suite:
    """Rows (indices into all rows), benign or not, and metric names of `guard.METRICS`."""

    name: str
    rows: np.ndarray
    metrics: tuple[str, ...]


def is_hard_negative(rows: dict[str, np.ndarray], threat: np.ndarray) -> np.ndarray:
    """(N,) bool: untransformed benign rows made to look like attacks."""
    family = rows["family"].astype(str)
    named = np.any([np.char.startswith(family, prefix) for prefix in HARD_NEGATIVES], axis=0)
    return named & ~threat & (rows["transform"] == NO_TRANSFORM)


def build_suites(scores: Scores) -> list[Suite]:
    """Suites of the test split; one without rows, or without a class it needs, is left out."""
    rows, threat = scores.rows, scores.threat
    test, plain = scores.split("test"), rows["transform"] == NO_TRANSFORM
    suites = [_suite("authored", test & plain, threat, _ALL)]

    hard = test & is_hard_negative(rows, threat)
    suites.append(_suite("trigger_words", hard, threat, ("false_positive_rate",)))
    for family in sorted(set(rows["family"][hard]) - {"trigger_words"}):
        suites.append(_suite(family, hard & (rows["family"] == family), threat, ("false_positive_rate",)))

    for kind in (label for label in LABELS if label not in (LABELS[BENIGN], OBFUSCATION)):
        own = test & plain & (rows["label"] == kind)
        suites.append(_suite(kind, own, threat, ("recall",)))

    for name, members in transforms(scores).items():
        members = members & test
        suites.append(_suite(name, members, threat, _ATTACK))
        suites.append(_suite(f"control_{name}", members & ~threat, threat, ("false_positive_rate",)))
        # The same controls, because a control is drawn for a transform and not for a source.
        public = members & (~threat | (rows["source"] == DISGUISED))
        if np.any(public & threat):
            suites.append(_suite(f"{name}_{DISGUISED}", public, threat, _ATTACK))

    for benchmark in BENCHMARKS:
        own = test & benchmark.members(rows)
        suites.append(_suite(benchmark.name, own, threat, _OF_SIDE[benchmark.side]))
    return [suite for suite in suites if suite is not None]


def transforms(scores: Scores) -> dict[str, np.ndarray]:
    """(N,) masks by name: each attack family, then its variants where it has several."""
    family, transform = scores.rows["family"], scores.rows["transform"]
    transformed = transform != NO_TRANSFORM
    masks: dict[str, np.ndarray] = {}
    for name in sorted(set(family[transformed])):
        own = transformed & (family == name)
        masks[name] = own
        for variant in sorted(set(transform[own]) - {name}):
            masks[variant] = own & (transform == variant)
    return masks


_ALL = (
    "recall",
    "false_positive_rate",
    "auc",
    "tpr_at_1pct_fpr",
    "tpr_at_3pct_fpr",
    "tpr_at_0.1pct_fpr",
    "fpr_at_95pct_recall",
    "macro_f1",
    "accuracy",
    "ece",
)
_ATTACK = ("recall", "auc", "tpr_at_1pct_fpr")
_OF_SIDE = {"threats": ("recall",), "benign": ("false_positive_rate",), "both": _ALL}
_NEEDS_THREATS = {"recall"}
_NEEDS_BENIGN = {"false_positive_rate"}
_NEEDS_BOTH = {"auc", "fpr_at_95pct_recall"}
# A rate of 1% of fewer than 100 benign rows is a rate of 0: the metric would claim
# a resolution that the rows do not have.
_LEAST_BENIGN = {"tpr_at_1pct_fpr": 100, "tpr_at_3pct_fpr": 100, "tpr_at_0.1pct_fpr": 1000}


def _suite(name: str, mask: np.ndarray, threat: np.ndarray, metrics: tuple[str, ...]) -> Suite | None:
    threats, benign = int(np.sum(mask & threat)), int(np.sum(mask & ~threat))

    def supported(metric: str) -> bool:
        if metric in _NEEDS_THREATS:
            return threats > 0
        if metric in _NEEDS_BENIGN:
            return benign > 0
        if metric in _LEAST_BENIGN:
            return threats > 0 and benign >= _LEAST_BENIGN[metric]
        if metric in _NEEDS_BOTH:
            return threats > 0 and benign > 0
        return threats + benign > 0

    kept = tuple(metric for metric in metrics if supported(metric))
    return Suite(name, np.flatnonzero(mask), kept) if kept else None
