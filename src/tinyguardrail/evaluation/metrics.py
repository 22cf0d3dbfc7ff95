"""Point estimates of detection quality, each for one model on one set of rows.

Conventions: `threat` is the truth, (n,) bool; `score` is the threat probability
1 - p(benign), (n,); `blocked` is the decision, (n,) bool. Every value is a fraction in
[0, 1]. scikit-learn computes what it has; `resampled.py` holds the weighted forms that the
bootstrap needs, and a test holds the two together.
"""

from __future__ import annotations

import math

import numpy as np
from scipy.special import ndtri
from sklearn.metrics import confusion_matrix as sklearn_confusion_matrix
from sklearn.metrics import f1_score, roc_auc_score, roc_curve


def recall(threat: np.ndarray, blocked: np.ndarray) -> float:
    """Share of threats that are blocked; an error without threats."""
    return _share(blocked[threat], "recall needs threats")


def false_positive_rate(threat: np.ndarray, blocked: np.ndarray) -> float:
    """Share of benign rows that are blocked; an error without benign rows."""
    return _share(blocked[~threat], "a false-positive rate needs benign rows")


def wilson_interval(rate: float, n: float, level: float = 0.95) -> tuple[float, float]:
    """Score interval of a proportion (Wilson 1927).

    `n` may be fractional: an effective sample size (see `clustered_wilson`). The interval
    stays inside [0, 1] and has a width at rates of 0 and 1, where a bootstrap has none.
    """
    z = float(ndtri(0.5 + level / 2))
    denominator = 1 + z * z / n
    centre = (rate + z * z / (2 * n)) / denominator
    half = z * math.sqrt(rate * (1 - rate) / n + z * z / (4 * n * n)) / denominator
    return max(0.0, centre - half), min(1.0, centre + half)


def clustered_wilson(values: np.ndarray, parents: np.ndarray, level: float = 0.95) -> tuple[float, float]:
    """Wilson interval of a mean of row values in [0, 1] whose rows come in families.

    Rows made from one parent text are alike, so n rows carry less than n rows' evidence.
    The effective size is rate * (1 - rate) / variance, with the linearised variance of a
    mean over clusters (Korn and Graubard 1998); without any spread it is the number of
    parents. `values` may be means over seeds: the interval is about other texts, and the
    spread between seeds is reported beside it as a standard deviation.
    """
    n = len(values)
    rate = float(np.mean(values))
    _, index = np.unique(parents, return_inverse=True)
    clusters = int(index.max()) + 1
    residuals = np.bincount(index, weights=values - rate)
    variance = float(residuals @ residuals) / n**2 * clusters / max(1, clusters - 1)
    effective = rate * (1 - rate) / variance if variance > 1e-15 else float(clusters)
    return wilson_interval(rate, min(max(effective, 1.0), float(n)), level)


def auc(threat: np.ndarray, score: np.ndarray) -> float:
    """Area under the ROC curve: chance that a threat outranks a benign row, ties a half."""
    return float(roc_auc_score(threat, score))


def tpr_at_fpr(threat: np.ndarray, score: np.ndarray, limit: float) -> float:
    """Highest recall of any threshold on these rows whose false-positive rate is <= `limit`."""
    fpr, tpr, _ = roc_curve(threat, score, drop_intermediate=False)
    return float(tpr[fpr <= limit].max())


def fpr_at_recall(threat: np.ndarray, score: np.ndarray, target: float = 0.95) -> float:
    """Lowest false-positive rate of any threshold on these rows whose recall is >= `target`."""
    fpr, tpr, _ = roc_curve(threat, score, drop_intermediate=False)
    return float(fpr[tpr >= target].min())


def accuracy(label: np.ndarray, predicted: np.ndarray) -> float:
    """Share of rows whose most probable class is the true one (four classes)."""
    return _share(label == predicted, "accuracy needs rows")


def macro_f1(label: np.ndarray, predicted: np.ndarray) -> float:
    """Mean F1 over the classes that occur in `label`: an absent class has no recall to average."""
    return float(f1_score(label, predicted, labels=np.unique(label), average="macro", zero_division=0))


def confusion_matrix(label: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    """(classes, classes) counts; true class by row, predicted class by column."""
    return sklearn_confusion_matrix(label, predicted, labels=np.arange(classes))


def expected_calibration_error(confidence: np.ndarray, correct: np.ndarray, bins: int) -> float:
    """Mean gap between confidence and accuracy over equal-width bins (Guo et al. 2017, eq. 3).

    `confidence` is the probability of the predicted class, `correct` whether it is true.
    """
    index = confidence_bin(confidence, bins)
    gaps = np.bincount(index, weights=correct - confidence, minlength=bins)
    return float(np.abs(gaps).sum() / len(confidence))


def confidence_bin(confidence: np.ndarray, bins: int) -> np.ndarray:
    """Index of the equal-width bin of each confidence; 1.0 falls in the last one."""
    return np.minimum((confidence * bins).astype(np.int64), bins - 1)


def _share(hits: np.ndarray, problem: str) -> float:
    if len(hits) == 0:
        raise ValueError(f"{problem}, got none")
    return float(np.mean(hits))
