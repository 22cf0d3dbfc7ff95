"""Temperature scaling and the blocking threshold, both from validation rows alone."""

from __future__ import annotations

import math

import numpy as np
from scipy.optimize import minimize_scalar

from tinyguardrail.evaluation.inputs import InputError

SMALLEST = 1e-12  # float32 softmax may give 0, whose logarithm does not exist
LOG_RANGE = (math.log(0.05), math.log(20.0))


def fit_temperature(probabilities: np.ndarray, label: np.ndarray) -> float:
    """Temperature that minimises the negative log-likelihood (Guo et al. 2017, section 4.2).

    Args:
        probabilities: class probabilities, (n, classes); their logarithms serve as logits,
            which differ from the model's own only by a constant per row.
        label: true class of each row, (n,).
    """
    logits = np.log(np.maximum(probabilities, SMALLEST))
    own = logits[np.arange(len(label)), label]

    def loss(log_temperature: float) -> float:
        scale = math.exp(-log_temperature)
        # Logits are <= 0 with at least one near 0 in each row: the sum cannot under- or overflow.
        return float(np.mean(np.log(np.exp(logits * scale).sum(axis=1)) - own * scale))

    return math.exp(minimize_scalar(loss, bounds=LOG_RANGE, method="bounded", options={"xatol": 1e-4}).x)


def apply_temperature(probabilities: np.ndarray, temperature: float) -> np.ndarray:
    """Probabilities of softmax(logits / temperature), same shape."""
    powered = np.exp(np.log(np.maximum(probabilities, SMALLEST)) / temperature)
    return powered / powered.sum(axis=-1, keepdims=True)


def blocking_threshold(benign_scores: np.ndarray, target: float) -> float:
    """Threat probability at or above which a text is blocked.

    The threshold lies just above the ceil((n + 1)(1 - target))-th smallest benign score
    (split conformal, Vovk et al. 2005): over draws of n validation rows, the expected
    false-positive rate on a fresh row of the same distribution is at most `target`.

    Raises:
        InputError: so few benign rows that no threshold can give that promise.
    """
    n = len(benign_scores)
    rank = math.ceil((n + 1) * (1 - target) - 1e-9)
    if rank > n:
        needed = math.ceil(1 / target - 1e-9) - 1
        raise InputError(
            f"{n} benign validation rows cannot fix a false-positive rate of {target}: "
            f"at least {needed} are needed; raise calibration.target_false_positive_rate or "
            "data.validation_fraction"
        )
    return float(np.nextafter(np.partition(benign_scores, rank - 1)[rank - 1], np.inf))
