"""Data behind the curves: routing threshold sweep, ROC and reliability, means over seeds."""

from collections.abc import Mapping

import numpy as np
from sklearn.metrics import roc_curve

from tinyguardrail.data.labels import INTENTS
from tinyguardrail_paper.analysis.metrics.calibration_error import confidence_bin
from tinyguardrail_paper.analysis.routing import Decisions, decide
from tinyguardrail_paper.analysis.scores import Scores
from tinyguardrail_paper.analysis.suites.hard_negatives import is_hard_negative
from tinyguardrail_paper.analysis.suites.obfuscation import transforms
from tinyguardrail_paper.analysis.suites.suite import untransformed

Columns = dict[str, list[float]]  # a table by column

THRESHOLDS = np.linspace(0, 1, 21)
ROUTER_BINS = np.linspace(0, 1, 41)
# Dense where a guard is operated, below a few percent.
FALSE_POSITIVE_RATES = np.concatenate([np.geomspace(0.001, 0.1, 41), np.linspace(0.12, 1, 45)])


def routing_sweep(scores: Scores, target_false_positive_rate: float) -> Columns:
    """What each routing threshold would give, calibrated anew at each of them.

    Recall and false-positive rate are those of untransformed test rows.
    """
    test, threat = scores.split("test"), scores.threat
    plain = test & untransformed(scores)
    groups = {
        "recall": plain & threat,
        "false_positive_rate": plain & ~threat,
        "hard_negative_false_positive_rate": test & is_hard_negative(scores),
    }
    table: Columns = {"threshold": [], "deep_share": []}
    for threshold in THRESHOLDS:
        decisions = decide(scores, float(threshold), target_false_positive_rate)
        table["threshold"].append(float(threshold))
        table["deep_share"].append(float(decisions.deep[:, test].mean(axis=-1).mean()))
        for name, rows in groups.items():
            if rows.any():
                table.setdefault(name, []).append(float(decisions.blocked[:, rows].mean()))
    return table


def roc(scores: Scores, decisions: Decisions) -> Columns:
    """Recall at fixed false-positive rates: untransformed rows, and each attack family
    against benign text put through the same transform."""
    test = scores.split("test")
    groups = {"plain": test & untransformed(scores)}
    groups |= {name: test & members for name, family, members in transforms(scores) if family is None}
    table: Columns = {"false_positive_rate": FALSE_POSITIVE_RATES.tolist()}
    for name, rows in groups.items():
        found = _recall_at_rates(scores, decisions, rows)
        table |= {name: found} if found else {}
    return table


def by_policy(views: Mapping[str, tuple[Scores, Decisions]]) -> Columns:
    """Recall of each policy at fixed false-positive rates, untransformed rows."""
    table: Columns = {"false_positive_rate": FALSE_POSITIVE_RATES.tolist()}
    for name, (scores, decisions) in views.items():
        found = _recall_at_rates(scores, decisions, scores.split("test") & untransformed(scores))
        table |= {name: found} if found else {}
    return table


def _recall_at_rates(scores: Scores, decisions: Decisions, rows: np.ndarray) -> list[float]:
    """Mean over seeds at each of `FALSE_POSITIVE_RATES`; nothing where rows are of one class only."""
    threat = scores.threat[rows]
    if not threat.any() or threat.all():
        return []
    recalls = []
    for score in decisions.threat_score[:, rows]:
        fpr, tpr, _ = roc_curve(threat, score, drop_intermediate=False)
        recalls.append(tpr[np.searchsorted(fpr, FALSE_POSITIVE_RATES, side="right") - 1])
    return np.mean(recalls, axis=0).tolist()


def reliability(scores: Scores, decisions: Decisions, bins: int) -> Columns:
    """Mean confidence and accuracy by equal-width confidence bin, untransformed test rows."""
    rows = scores.split("test") & untransformed(scores)
    confidence = decisions.confidence[:, rows].ravel()
    correct = (decisions.predicted[:, rows] == scores.intent[rows]).ravel()
    index = confidence_bin(confidence, bins)
    table: Columns = {"confidence": [], "accuracy": [], "rows": []}
    for each in np.unique(index):
        own = index == each
        table["confidence"].append(float(confidence[own].mean()))
        table["accuracy"].append(float(correct[own].mean()))
        table["rows"].append(int(own.sum()))
    return table


def router_scores(scores: Scores) -> Columns:
    """Share of each intent's test rows in equal-width bins of the router score, mean over seeds."""
    table: Columns = {"router_score": ((ROUTER_BINS[:-1] + ROUTER_BINS[1:]) / 2).tolist()}
    for index, intent in enumerate(INTENTS):
        rows = scores.split("test") & (scores.intent == index)
        if rows.any():
            counts = [np.histogram(each, ROUTER_BINS)[0] for each in scores.router[:, rows]]
            table[intent] = (np.mean(counts, axis=0) / rows.sum()).tolist()
    return table
