"""Where the router sends what, by intent, family, attack and epoch, and what that does to accuracy."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np

from tinyguardrail.data.labels import INTENTS
from tinyguardrail.data.records import NO_TRANSFORM
from tinyguardrail_common.statistics.significance import ParentBootstrap, t_interval
from tinyguardrail_paper.analysis.routing import Decisions
from tinyguardrail_paper.analysis.row_means import mean_gap, row_mean
from tinyguardrail_paper.analysis.scores import Scores
from tinyguardrail_paper.analysis.summary import Summary

QUANTILES = {"score_p10": 10, "score_p50": 50, "score_p90": 90}


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
    for index, intent in enumerate(INTENTS):
        rows = test[scores.intent[test] == index]
        if len(rows):
            found[f"deep_share_{intent}"] = share(rows)
    correct = {
        name: each.predicted == scores.intent
        for name, each in (("routed", decisions), ("always_fast", fast), ("always_deep", deep))
    }
    found["accuracy"] = row_mean(scores, correct["routed"], test)
    for arm in ("always_fast", "always_deep"):
        found[f"accuracy_{arm}"] = row_mean(scores, correct[arm], test)
        gaps = correct["routed"].astype(float) - correct[arm]
        found[f"accuracy_gap_to_{arm}"] = mean_gap(scores, gaps, test, bootstrap)
    gained = correct["always_deep"].astype(float) - correct["always_fast"]
    return found | {"accuracy_gap_deep_to_fast": mean_gap(scores, gained, test, bootstrap)}


def distribution(
    scores: Scores, decisions: Decisions, training: list[dict[str, list[float | None]]]
) -> list[dict[str, Any]]:
    """One record per group of rows, then one per epoch of training.

    Args:
        training: columns of each seed's training log.

    Returns:
        Records with group, intent, name, rows, deep_share with its 95% interval low and high,
        and the router score's mean and quantiles, means over seeds. Groups `intent`, `family`
        (untransformed rows) and `attack` (transformed rows) are of the test split; their
        intervals are about other texts and seeds. Those of `epoch`, shares of validation rows during
        training, are about other seeds, and quantiles were not logged.
    """
    records = [
        _of_rows(scores, decisions, group, intent, name, rows)
        for group, intent, name, rows in _groups(scores)
    ]
    return records + _of_epochs(training)


def _groups(scores: Scores) -> Iterator[tuple[str, str, str, np.ndarray]]:
    """(group, intent, name, indices of its test rows)."""
    test = np.flatnonzero(scores.split("test"))
    intent, family = scores.rows["intent"][test], scores.rows["family"][test]
    plain = scores.rows["transform"][test] == NO_TRANSFORM
    for each in sorted(set(intent)):
        yield "intent", each, each, test[intent == each]
    for group, own in (("family", plain), ("attack", ~plain)):
        for kind, name in sorted(set(zip(intent[own], family[own], strict=True))):
            yield group, kind, name, test[own & (intent == kind) & (family == name)]


def _of_rows(
    scores: Scores, decisions: Decisions, group: str, intent: str, name: str, rows: np.ndarray
) -> dict[str, Any]:
    share, router = row_mean(scores, decisions.deep, rows), scores.router[:, rows]
    low, high = share.interval
    quantiles = {key: float(np.percentile(router, q, axis=1).mean()) for key, q in QUANTILES.items()}
    return {
        "group": group,
        "intent": str(intent),
        "name": str(name),
        "rows": len(rows),
        "deep_share": share.mean,
        "low": low,
        "high": high,
        "score_mean": float(router.mean()),
        **quantiles,
    }


def _of_epochs(training: list[dict[str, list[float | None]]]) -> list[dict[str, Any]]:
    ends = [
        {
            int(epoch): (share, mean)
            for epoch, share, mean in zip(
                log["epoch"], log["validation_deep_share"], log["validation_router_mean"], strict=True
            )
            if share is not None
        }
        for log in training
    ]
    records = []
    for epoch in sorted(set.intersection(*(set(each) for each in ends))):
        shares, means = zip(*(each[epoch] for each in ends), strict=True)
        low, high = t_interval(shares) or (None, None)
        records.append(
            {"group": "epoch", "intent": None, "name": str(epoch + 1), "rows": None}
            | {"deep_share": float(np.mean(shares)), "low": low, "high": high}
            | {"score_mean": float(np.mean(means)), **dict.fromkeys(QUANTILES)}
        )
    return records
