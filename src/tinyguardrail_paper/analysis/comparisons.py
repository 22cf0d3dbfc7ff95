"""The routed guard against other guards on the same rows, one record per comparison and method.

McNemar by seed takes rows as independent; approximate randomisation exchanges whole
parents, and the paired t test asks about other training runs.
"""

from typing import Any

import numpy as np

from tinyguardrail_common.statistics.significance import (
    approximate_randomisation,
    auc_contributions,
    holm,
    mcnemar,
    paired_t,
)
from tinyguardrail_paper.analysis.routing import Decisions
from tinyguardrail_paper.analysis.scores import Scores
from tinyguardrail_paper.analysis.suites.suite import untransformed
from tinyguardrail_paper.settings.params import Statistics


def compare_branches(
    scores: Scores, arms: dict[str, Decisions], statistics: Statistics
) -> list[dict[str, Any]]:
    """The routed guard against each branch alone."""
    test = np.flatnonzero(scores.split("test"))
    correct = {name: (arm.predicted == scores.intent) for name, arm in arms.items()}
    records = []
    for other in ("guard_always_fast", "guard_always_deep"):
        for index, seed in enumerate(scores.seeds):
            only_a, only_b, p = mcnemar(correct["guard"][index, test], correct[other][index, test])
            records.append(_record("mcnemar", "accuracy", other, (only_a - only_b) / len(test), p, seed=seed))
        exchange = _auc_exchange(scores, arms["guard"], arms[other])
        a, b = (correct[name].astype(float) for name in ("guard", other))
        records += compare_pooled(scores, other, a, b, exchange, statistics)
    return records


def compare_pooled(
    scores: Scores,
    other: str,
    correct: np.ndarray,
    correct_other: np.ndarray,
    auc_exchange: np.ndarray | None,
    statistics: Statistics,
) -> list[dict[str, Any]]:
    """The tests that pool the seeds.

    Args:
        correct, correct_other: (S, N) in [0, 1]; fractions where a guard decides by chance.
        auc_exchange: `auc_contributions` of untransformed test rows, mean over seeds, (P,); None
            where these rows have one class only.
    """
    test = np.flatnonzero(scores.split("test"))
    parents, samples, seed = scores.rows["parent_id"], statistics.bootstrap_samples, statistics.seed
    gaps = (correct[:, test] - correct_other[:, test]).mean(axis=0) / len(test)
    difference, p = approximate_randomisation(gaps, parents[test], samples, seed)
    records = [_record("randomisation", "accuracy", other, difference, p)]
    if auc_exchange is not None:
        plain = parents[_plain_test(scores)]
        difference, p = approximate_randomisation(auc_exchange, plain, samples, seed)
        records.append(_record("randomisation", "auc", other, difference, p))
    across = paired_t(correct[:, test].mean(axis=1), correct_other[:, test].mean(axis=1))
    return [*records, _record("paired_t", "accuracy", other, **across)]


def adjusted(records: list[dict[str, Any]], alpha: float) -> list[dict[str, Any]]:
    """The records with p-values adjusted by Holm's method within each method of testing."""
    for method in dict.fromkeys(each["method"] for each in records):
        family = [each for each in records if each["method"] == method and each["p"] is not None]
        for each, p in zip(family, holm([each["p"] for each in family]), strict=True):
            each |= {"p_holm": p, "significant": p < alpha}
    return records


def _plain_test(scores: Scores) -> np.ndarray:
    return np.flatnonzero(scores.split("test") & untransformed(scores))


def _auc_exchange(scores: Scores, routed: Decisions, other: Decisions) -> np.ndarray | None:
    plain = _plain_test(scores)
    threat = scores.threat[plain]
    if not threat.any() or threat.all():
        return None
    pairs = zip(routed.threat_score[:, plain], other.threat_score[:, plain], strict=True)
    return np.mean([auc_contributions(threat, a, b) for a, b in pairs], axis=0)


def _record(
    method: str, metric: str, other: str, difference: float, p: float | None, **more: Any
) -> dict[str, Any]:
    key = {"method": method, "metric": metric, "a": "guard", "b": other, "seed": None}
    found = {"difference": difference, "effect_size": None, "p": p, "p_holm": None, "significant": None}
    return key | found | more
