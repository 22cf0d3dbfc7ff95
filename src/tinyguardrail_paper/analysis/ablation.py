"""What each part of training is worth: arms that differ from a reference in one of them, on the same rows.

Every arm is calibrated on its own validation rows. Texts are read raw and by one window, as in training,
so the rates are lower than those of the guard: only differences between arms count.
"""

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from tinyguardrail.runtime.policy import ANY
from tinyguardrail_common.statistics.significance import (
    ParentBootstrap,
    approximate_randomisation,
    auc_contributions,
    holm,
    placements,
)
from tinyguardrail_paper.analysis.intervals import bootstrap_interval
from tinyguardrail_paper.analysis.metrics import metric
from tinyguardrail_paper.analysis.metrics.metric import Sample
from tinyguardrail_paper.analysis.metrics.ranking import auc_from_placements
from tinyguardrail_paper.analysis.routing import Decisions, decide
from tinyguardrail_paper.analysis.row_means import mean_gap, row_mean
from tinyguardrail_paper.analysis.scores import Scores, stack
from tinyguardrail_paper.analysis.suites import Metrics
from tinyguardrail_paper.analysis.summary import Summary, over_texts, rounded
from tinyguardrail_paper.scores.score_table import ABLATION
from tinyguardrail_paper.settings import paths
from tinyguardrail_paper.settings.params import Params

RATES = ("auc", "recall", "false_positive_rate", "accuracy")


class Arm(NamedTuple):
    """One arm: S seeds on N rows, of which those of the split `test` are measured.

    `same_intent` tells where the intent stays once weights are rounded to INT8, (S, N) bool.
    """

    scores: Scores
    decisions: Decisions
    same_intent: np.ndarray

    @property
    def test(self) -> np.ndarray:
        return np.flatnonzero(self.scores.split("test"))

    @property
    def correct(self) -> np.ndarray:
        return (self.decisions.predicted == self.scores.intent).astype(float)


def evaluate_ablation(params: Params) -> Metrics:
    """One test per arm, named after it.

    Metrics are those of `RATES`; `deep_share`; `accuracy_fast` and `accuracy_deep`, of each branch
    alone; `routing_gain`, the accuracy less that of as many rows sent deep by chance; `int8_same_intent`;
    and for each arm but the reference `auc_change` and `accuracy_change`, the arm less the reference,
    with p-values by exchange of parents, adjusted by Holm's method over arms.

    Raises:
        InputError: a file is missing or damaged.
    """
    arms = {name: _read(name, params) for name in params.ablate.arms}
    reference, statistics = arms[params.ablate.reference], params.statistics
    bootstrap = ParentBootstrap(
        reference.scores.rows["parent_id"], statistics.bootstrap_samples, statistics.seed
    )
    found = {name: _levels(arm, bootstrap, params) for name, arm in arms.items()}
    others = [name for name in arms if name != params.ablate.reference]
    for name, change in (("auc", _auc_change), ("accuracy", _accuracy_change)):
        tested = [change(arms[arm], reference, bootstrap, params) for arm in others]
        adjusted = holm([p for _, p in tested])
        for arm, (summary, _), p in zip(others, tested, adjusted, strict=True):
            extra = {"p_holm": rounded(p), "significant": p < statistics.alpha}
            found[arm][f"{name}_change"] = replace(summary, extra=extra)
    return found


def _levels(arm: Arm, bootstrap: ParentBootstrap, params: Params) -> dict[str, Summary]:
    scores, test, deep = arm.scores, arm.test, arm.decisions.deep
    sample = Sample(test, scores, arm.decisions, bootstrap, params.calibration.bins)
    found = {name: metric(name).measure(sample) for name in RATES}
    branches = {
        name: (probabilities.argmax(-1) == scores.intent).astype(float)
        for name, probabilities in (("fast", scores.fast), ("deep", scores.deep))
    }
    found |= {f"accuracy_{name}": row_mean(scores, correct, test) for name, correct in branches.items()}
    share = deep[:, test].mean(axis=1)[:, None]  # (S, 1)
    by_chance = share * branches["deep"] + (1 - share) * branches["fast"]
    return found | {
        "deep_share": row_mean(scores, deep, test),
        "routing_gain": mean_gap(scores, arm.correct - by_chance, test, bootstrap),
        "int8_same_intent": row_mean(scores, arm.same_intent, test),
    }


def _accuracy_change(
    arm: Arm, reference: Arm, bootstrap: ParentBootstrap, params: Params
) -> tuple[Summary, float]:
    """The difference of accuracies and its p-value."""
    gaps = arm.correct - reference.correct
    contributions = gaps[:, arm.test].mean(axis=0) / len(arm.test)
    return mean_gap(arm.scores, gaps, arm.test, bootstrap), _p_value(arm, contributions, params)


def _auc_change(
    arm: Arm, reference: Arm, bootstrap: ParentBootstrap, params: Params
) -> tuple[Summary, float]:
    """The difference of areas under the curve and its p-value."""
    test, threat = arm.test, arm.scores.threat[arm.test]
    pairs = list(
        zip(arm.decisions.threat_score[:, test], reference.decisions.threat_score[:, test], strict=True)
    )
    placed = [placements(threat, own) - placements(threat, other) for own, other in pairs]
    samples = auc_from_placements(threat, np.mean(placed, axis=0), bootstrap.weights(test))
    values = [float(each[threat].mean()) for each in placed]
    contributions = np.mean([auc_contributions(threat, *pair) for pair in pairs], axis=0)
    summary = over_texts(
        values, bootstrap_interval(samples, values), len(test), arm.scores.seeds, "difference"
    )
    return summary, _p_value(arm, contributions, params)


def _p_value(arm: Arm, contributions: np.ndarray, params: Params) -> float:
    parents, statistics = arm.scores.rows["parent_id"][arm.test], params.statistics
    samples, seed = statistics.bootstrap_samples, statistics.seed
    return approximate_randomisation(contributions, parents, samples, seed)[1]


def _read(name: str, params: Params) -> Arm:
    seeds = params.ablate.seeds
    tables = ABLATION.read_same_rows(
        [ABLATION.folder / paths.seed_name(seed) / f"{name}.parquet" for seed in seeds]
    )
    scores = stack(seeds, tables)
    same = np.stack([table["fp32_intent"] == table["int8_intent"] for table in tables])
    decisions = decide(scores, params.router.threshold, params.policies.target(ANY))
    return Arm(scores, decisions, same)
