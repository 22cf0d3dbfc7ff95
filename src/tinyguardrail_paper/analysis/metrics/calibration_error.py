"""How far stated confidence is from accuracy."""

import numpy as np

from tinyguardrail_paper.analysis.metrics.metric import Rows, Statistic


def expected_calibration_error(confidence: np.ndarray, correct: np.ndarray, bins: int) -> float:
    """Mean gap between confidence and accuracy over equal-width bins (Guo et al. 2017, eq. 3).

    `confidence` is the probability of the predicted class, `correct` whether it is true.
    """
    index = confidence_bin(confidence, bins)
    gaps = np.bincount(index, weights=correct - confidence, minlength=bins)
    return float(np.abs(gaps).sum() / len(confidence))


def weighted_calibration_error(
    confidence: np.ndarray, correct: np.ndarray, weights: np.ndarray, bins: int
) -> np.ndarray:
    """The same over (B, n) bootstrap weights, (B,)."""
    gaps = np.zeros((len(confidence), bins))
    gaps[np.arange(len(confidence)), confidence_bin(confidence, bins)] = correct - confidence
    with np.errstate(invalid="ignore"):
        return np.abs(weights @ gaps).sum(axis=1) / weights.sum(axis=1)


def confidence_bin(confidence: np.ndarray, bins: int) -> np.ndarray:
    """Index of the equal-width bin of each confidence; 1.0 falls in the last one."""
    return np.minimum((confidence * bins).astype(np.int64), bins - 1)


def _correct(rows: Rows) -> np.ndarray:
    return (rows.intent == rows.predicted).astype(float)


METRICS = (
    Statistic(
        name="ece",
        of_intents=True,
        title="expected calibration error",
        format="probability",
        point=lambda rows: expected_calibration_error(rows.confidence, _correct(rows), rows.bins),
        weighted=lambda rows, weights: weighted_calibration_error(
            rows.confidence, _correct(rows), weights, rows.bins
        ),
    ),
)
