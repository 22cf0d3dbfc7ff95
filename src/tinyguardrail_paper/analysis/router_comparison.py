"""The learned router against other choices of as many rows: does it earn its place?

Accuracy, macro F1, recall and false-positive rate are over all test rows, obfuscated ones
included, because that is what a router must tell apart; AUC is over untransformed ones.
Each choice, (S, N) bool, is calibrated on its own validation rows. A choice made by chance is
averaged over many draws before any statistic is taken of it.

A router earns its place where its choice beats chance, and the guess that a shallow branch is
wrong where it is least sure of itself; a choice that knows the intents bounds what any could reach.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from tinyguardrail.data.macro_f1 import macro_f1
from tinyguardrail.data.records import NO_TRANSFORM
from tinyguardrail_common.statistics.significance import (
    ParentBootstrap,
    auc_contributions,
    placements,
)
from tinyguardrail_paper.analysis.comparisons import compare_pooled
from tinyguardrail_paper.analysis.intervals import bootstrap_interval
from tinyguardrail_paper.analysis.metrics.intents import weighted_macro_f1
from tinyguardrail_paper.analysis.metrics.ranking import auc, auc_from_placements
from tinyguardrail_paper.analysis.routing import Decisions, decide_routes
from tinyguardrail_paper.analysis.row_means import mean_gap, row_mean
from tinyguardrail_paper.analysis.scores import Scores
from tinyguardrail_paper.analysis.suites import Metrics
from tinyguardrail_paper.analysis.summary import Summary, over_texts, rounded
from tinyguardrail_paper.scores.inputs import InputError
from tinyguardrail_paper.settings.params import Statistics

TEST = "equal_share"  # name of the test in `results/metrics.json`
DRAWS = 100  # of the random choice
SPLITS = ("validation", "test")
BOUND = "oracle"  # an upper bound and no rival: it is measured, not tested against


class Outcome(NamedTuple):
    """What one choice gives on S seeds, N rows of which P are untransformed test rows, and B samples.

    All are floats, so that outcomes of several draws can be averaged field by field.
    """

    deep: np.ndarray  # (S, N)
    correct: np.ndarray  # (S, N)
    blocked: np.ndarray  # (S, N)
    macro_f1: np.ndarray  # (S,)
    auc: np.ndarray  # (S,)
    macro_f1_samples: np.ndarray  # (B,), mean over seeds
    placements: np.ndarray  # (P,), mean over seeds
    exchange: np.ndarray  # (P,), contributions to AUC(learned) - AUC(this), mean over seeds


@dataclass(frozen=True)
class Rows:
    """Indices of test rows and their bootstrap weights: all of them, and the untransformed ones."""

    test: np.ndarray
    plain: np.ndarray
    test_weights: np.ndarray
    plain_weights: np.ndarray


def compare_choices(
    scores: Scores, routed: Decisions, target: float, bootstrap: ParentBootstrap, statistics: Statistics
) -> tuple[dict[str, Metrics], list[dict[str, Any]]]:
    """Metrics by system under the test `equal_share`, and the comparisons, not adjusted yet.

    The learned router's metrics carry its gap to each other choice, learned less other.
    """
    rows = _rows(scores, bootstrap)

    def outcome(draws: Iterable[np.ndarray]) -> Outcome:
        decided = (decide_routes(scores, deep, target) for deep in draws)
        return average(measure(scores, each, routed, rows) for each in decided)

    learned = measure(scores, routed, routed, rows)
    choices = _choices(scores, routed.deep, statistics.seed)
    others = {name: outcome(draws) for name, draws in choices.items()}
    systems = {f"guard_{name}": {TEST: _summaries(scores, each, rows)} for name, each in others.items()}
    systems["guard"] = {TEST: _summaries(scores, learned, rows)}
    for name, each in others.items():
        gaps = _gaps(scores, learned, each, rows, bootstrap)
        systems["guard"][TEST] |= {f"{metric}_gap_to_{name}": gap for metric, gap in gaps.items()}
    records = [
        record
        for name, each in others.items()
        if name != BOUND
        for record in compare_pooled(
            scores, f"guard_{name}", learned.correct, each.correct, each.exchange, statistics
        )
    ]
    return systems, records


def attach_p_values(guard: Metrics, significance: list[dict[str, Any]]) -> None:
    """Give the gaps in accuracy their p-values of approximate randomisation, adjusted."""
    for each in significance:
        name = f"{each['metric']}_gap_to_{each['b'].removeprefix('guard_')}"
        if each["method"] == "randomisation" and name in guard[TEST]:
            extra = {"p_holm": rounded(each["p_holm"]), "significant": each["significant"]}
            guard[TEST][name] = replace(guard[TEST][name], extra=extra)


def _choices(scores: Scores, deep: np.ndarray, seed: int) -> dict[str, Iterable[np.ndarray]]:
    """Every other choice by name, as its draws: one, where chance has no part in it."""
    return {
        "random": random_choices(scores, deep, DRAWS, seed),
        "early_exit": [early_exit(scores, deep)],
        "early_exit_equal_share": [early_exit_equal_share(scores, deep)],
        BOUND: [oracle(scores, deep)],
    }


def _rows(scores: Scores, bootstrap: ParentBootstrap) -> Rows:
    test = np.flatnonzero(scores.split("test"))
    plain = test[scores.rows["transform"][test] == NO_TRANSFORM]
    if len(set(scores.threat[plain])) < 2:
        raise InputError(
            "data/splits/test.parquet: untransformed rows are all threats or all benign, so no router can be "
            "judged on them; raise data.test_fraction"
        )
    return Rows(test, plain, bootstrap.weights(test), bootstrap.weights(plain))


def measure(scores: Scores, decisions: Decisions, learned: Decisions, rows: Rows) -> Outcome:
    """The outcome of one choice, beside that of the learned router."""
    intent, threat = scores.intent[rows.test], scores.threat[rows.plain]
    predicted, ranked = decisions.predicted[:, rows.test], decisions.threat_score[:, rows.plain]
    samples = [weighted_macro_f1(intent, each, rows.test_weights) for each in predicted]
    pairs = zip(learned.threat_score[:, rows.plain], ranked, strict=True)
    return Outcome(
        deep=decisions.deep.astype(float),
        correct=(decisions.predicted == scores.intent).astype(float),
        blocked=decisions.blocked.astype(float),
        macro_f1=np.array([macro_f1(intent, each) for each in predicted]),
        auc=np.array([auc(threat, each) for each in ranked]),
        macro_f1_samples=np.mean(samples, axis=0),
        placements=np.mean([placements(threat, each) for each in ranked], axis=0),
        exchange=np.mean([auc_contributions(threat, a, b) for a, b in pairs], axis=0),
    )


def average(outcomes: Iterable[Outcome]) -> Outcome:
    """Field by field, with one outcome in memory at a time."""
    total, count = None, 0
    for each in outcomes:
        total = each if total is None else Outcome(*map(np.add, total, each))
        count += 1
    return Outcome(*(field / count for field in total))


def _summaries(scores: Scores, outcome: Outcome, rows: Rows) -> dict[str, Summary]:
    threat = scores.threat[rows.test]
    areas = auc_from_placements(scores.threat[rows.plain], outcome.placements, rows.plain_weights)
    f1 = bootstrap_interval(outcome.macro_f1_samples, outcome.macro_f1, fraction=True)
    area = bootstrap_interval(areas, outcome.auc, fraction=True)
    return {
        "deep_share": row_mean(scores, outcome.deep, rows.test),
        "accuracy": row_mean(scores, outcome.correct, rows.test),
        "macro_f1": over_texts(outcome.macro_f1, f1, len(rows.test), scores.seeds, "probability"),
        "auc": over_texts(outcome.auc, area, len(rows.plain), scores.seeds, "probability"),
        "recall": row_mean(scores, outcome.blocked, rows.test[threat]),
        "false_positive_rate": row_mean(scores, outcome.blocked, rows.test[~threat]),
    }


def _gaps(
    scores: Scores, learned: Outcome, other: Outcome, rows: Rows, bootstrap: ParentBootstrap
) -> dict[str, Summary]:
    """Learned less other, with intervals over draws of parents that both share."""
    threat = scores.threat[rows.test]
    blocked = learned.blocked - other.blocked
    area = learned.placements - other.placements
    areas = auc_from_placements(scores.threat[rows.plain], area, rows.plain_weights)
    f1_gap, auc_gap = learned.macro_f1 - other.macro_f1, learned.auc - other.auc
    f1 = bootstrap_interval(learned.macro_f1_samples - other.macro_f1_samples, f1_gap)
    return {
        "deep_share": mean_gap(scores, learned.deep - other.deep, rows.test, bootstrap),
        "accuracy": mean_gap(scores, learned.correct - other.correct, rows.test, bootstrap),
        "macro_f1": over_texts(f1_gap, f1, len(rows.test), scores.seeds, "difference"),
        "auc": over_texts(
            auc_gap, bootstrap_interval(areas, auc_gap), len(rows.plain), scores.seeds, "difference"
        ),
        "recall": mean_gap(scores, blocked, rows.test[threat], bootstrap),
        "false_positive_rate": mean_gap(scores, blocked, rows.test[~threat], bootstrap),
    }


def random_choices(scores: Scores, deep: np.ndarray, draws: int, seed: int) -> Iterator[np.ndarray]:
    """`draws` times as many rows of each split as `deep` has there, all equally likely."""
    generator = np.random.default_rng(seed)
    for _ in range(draws):
        yield lowest(scores, deep, generator.random(deep.shape))


def early_exit(scores: Scores, deep: np.ndarray) -> np.ndarray:
    """Rows where the fast branch's largest probability is at or below a limit fixed on validation rows.

    The limit gives validation rows the share that `deep` has there; test rows get what it gives.
    The fast branch must run on every text before this choice can be made.
    """
    validation, confidence = scores.split("validation"), scores.fast.max(axis=-1)
    limits = []
    for own, wanted in zip(confidence[:, validation], deep[:, validation].sum(axis=1), strict=True):
        limits.append(np.sort(own)[wanted - 1] if wanted else -np.inf)
    return confidence <= np.array(limits)[:, None]


def early_exit_equal_share(scores: Scores, deep: np.ndarray) -> np.ndarray:
    """The same, but of test rows too exactly as many as `deep` has, which a deployed guard cannot promise."""
    return lowest(scores, deep, scores.fast.max(axis=-1))


def oracle(scores: Scores, deep: np.ndarray) -> np.ndarray:
    """Rows that only the deep branch gets right, at most as many as `deep` has.

    Where there are more, those whose true class gains the most probability.
    """
    gained = (scores.deep.argmax(-1) == scores.intent) & (scores.fast.argmax(-1) != scores.intent)
    own = np.arange(len(scores.intent))
    gain = scores.deep[:, own, scores.intent] - scores.fast[:, own, scores.intent]
    return gained & lowest(scores, deep, np.where(gained, -gain, np.inf))


def lowest(scores: Scores, deep: np.ndarray, value: np.ndarray) -> np.ndarray:
    """Of each split the rows with the lowest `value`, (S, N), as many as `deep` has there; ties by row."""
    chosen = np.zeros_like(deep)
    for split in SPLITS:
        rows = np.flatnonzero(scores.split(split))
        for seed, wanted in enumerate(deep[:, rows].sum(axis=1)):
            first = np.argsort(value[seed, rows], kind="stable")[:wanted]
            chosen[seed, rows[first]] = True
    return chosen
