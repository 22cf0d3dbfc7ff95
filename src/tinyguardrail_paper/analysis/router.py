"""Where the router sends what, by label, family, attack and epoch, and what that does to accuracy."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np

from tinyguardrail.data.labels import LABELS
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


def distribution(
    scores: Scores, decisions: Decisions, training: list[dict[str, list[float | None]]]
) -> list[dict[str, Any]]:
    """One record per group of rows, then one per epoch of training.

    Args:
        training: columns of each seed's training log.

    Returns:
        Records with group, label, name, rows, deep_share with its 95% interval low and high,
        and the router score's mean and quantiles, means over seeds. Groups `label`, `family`
        (untransformed rows) and `attack` (transformed rows) are of the test split; their
        intervals are about other texts. Those of `epoch`, shares of validation rows during
        training, are about other seeds, and quantiles were not logged.
    """
    records = [
        _of_rows(scores, decisions, group, label, name, rows) for group, label, name, rows in _groups(scores)
    ]
    return records + _of_epochs(training)


def _groups(scores: Scores) -> Iterator[tuple[str, str, str, np.ndarray]]:
    """(group, label, name, indices of its test rows)."""
    test = np.flatnonzero(scores.split("test"))
    label, family = scores.rows["label"][test], scores.rows["family"][test]
    plain = scores.rows["transform"][test] == NO_TRANSFORM
    for each in sorted(set(label)):
        yield "label", each, each, test[label == each]
    for group, own in (("family", plain), ("attack", ~plain)):
        for kind, name in sorted(set(zip(label[own], family[own], strict=True))):
            yield group, kind, name, test[own & (label == kind) & (family == name)]


def _of_rows(
    scores: Scores, decisions: Decisions, group: str, label: str, name: str, rows: np.ndarray
) -> dict[str, Any]:
    share, router = row_mean(scores, decisions.deep, rows), scores.router[:, rows]
    low, high = share.interval
    quantiles = {key: float(np.percentile(router, q, axis=1).mean()) for key, q in QUANTILES.items()}
    return {
        "group": group,
        "label": str(label),
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
            {"group": "epoch", "label": None, "name": str(epoch + 1), "rows": None}
            | {"deep_share": float(np.mean(shares)), "low": low, "high": high}
            | {"score_mean": float(np.mean(means)), **dict.fromkeys(QUANTILES)}
        )
    return records
