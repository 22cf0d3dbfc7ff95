"""Weighted metrics for many bootstrap samples at once.

A bootstrap sample is a row of `weights`, shape (B, n): how often each of n rows is drawn.
Each function returns (B,) values and equals its namesake in `metrics.py` at unit weights.
A sample that misses a whole class has no value: NaN, left out of the percentiles.
"""

from __future__ import annotations

import numpy as np

from tinyguardrail.evaluation.metrics import confidence_bin


def auc(threat: np.ndarray, score: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Weighted area under the ROC curve with ties counted a half."""
    fpr, tpr = _roc(threat, score, weights)
    zero = np.zeros((len(weights), 1))
    fpr, tpr = np.hstack([zero, fpr]), np.hstack([zero, tpr])
    return np.sum(np.diff(fpr, axis=1) * (tpr[:, 1:] + tpr[:, :-1]) / 2, axis=1)


def auc_from_placements(threat: np.ndarray, placements: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Area under the ROC curve to first order around its value at unit weights.

    Args:
        placements: as in `significance.placements`, or their mean over seeds and draws, (n,).
            Unlike ranks they can be averaged, so one call serves any number of score columns.
    """
    sides = (mean(placements[side], weights[:, side]) for side in (threat, ~threat))
    return sum(sides) - placements[threat].mean()


def tpr_at_fpr(threat: np.ndarray, score: np.ndarray, weights: np.ndarray, limit: float) -> np.ndarray:
    """Highest recall at a false-positive rate of at most `limit`."""
    fpr, tpr = _roc(threat, score, weights)
    best = np.where(fpr <= limit, tpr, 0.0).max(axis=1)
    return np.where(np.isnan(fpr[:, -1] + tpr[:, -1]), np.nan, best)


def fpr_at_recall(threat: np.ndarray, score: np.ndarray, weights: np.ndarray, target: float) -> np.ndarray:
    """Lowest false-positive rate at a recall of at least `target`."""
    fpr, tpr = _roc(threat, score, weights)
    best = np.where(tpr >= target - 1e-6, fpr, 1.0).min(axis=1)
    return np.where(np.isnan(fpr[:, -1] + tpr[:, -1]), np.nan, best)


def mean(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Weighted mean of row values: accuracy, a rate, or a difference of either."""
    with np.errstate(invalid="ignore"):
        return weights @ values / weights.sum(axis=1)


def macro_f1(label: np.ndarray, predicted: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Mean F1 over the classes of `label`; a class that a sample misses is left out of its mean."""
    classes = np.unique(label)[:, None]
    actual, guessed = label == classes, predicted == classes
    counted = np.concatenate([actual, guessed, actual & guessed]).T.astype(weights.dtype)  # (n, 3C)
    occurs, guesses, hits = np.split(weights @ counted, 3, axis=1)  # each (B, C)
    with np.errstate(invalid="ignore", divide="ignore"):
        scores = np.where(occurs > 0, 2 * hits / (occurs + guesses), np.nan)
        present = (~np.isnan(scores)).sum(axis=1)
        return np.where(present > 0, np.nansum(scores, axis=1) / present, np.nan)


def expected_calibration_error(
    confidence: np.ndarray, correct: np.ndarray, weights: np.ndarray, bins: int
) -> np.ndarray:
    """Weighted mean gap between confidence and accuracy over equal-width bins."""
    gaps = np.zeros((len(confidence), bins))
    gaps[np.arange(len(confidence)), confidence_bin(confidence, bins)] = correct - confidence
    with np.errstate(invalid="ignore"):
        return np.abs(weights @ gaps).sum(axis=1) / weights.sum(axis=1)


def _roc(threat: np.ndarray, score: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(fpr, tpr), each (B, distinct scores), from the highest threshold to the lowest."""
    order = np.argsort(-score, kind="stable")
    descending = score[order]
    last_of_tie = np.append(np.nonzero(np.diff(descending))[0], len(score) - 1)
    drawn = weights[:, order]
    curves = []
    for rows in (~threat[order], threat[order]):
        total = np.cumsum(drawn * rows.astype(drawn.dtype), axis=1)
        with np.errstate(invalid="ignore"):
            curves.append(total[:, last_of_tie] / total[:, -1:])
    return curves[0], curves[1]
