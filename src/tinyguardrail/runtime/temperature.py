"""Temperature scaling, from validation rows alone."""

import math

import numpy as np

SMALLEST = 1e-12  # float32 softmax may give 0, whose logarithm does not exist
LOG_RANGE = (math.log(0.05), math.log(20.0))


def fit_temperature(probabilities: np.ndarray, label: np.ndarray) -> float:
    """Temperature that minimizes the negative log-likelihood (Guo et al. 2017, section 4.2).

    Args:
        probabilities: class probabilities, (n, classes); their logarithms serve as logits,
            which differ from the model's own only by a constant per row.
        label: true class of each row, (n,).
    """
    from scipy.optimize import minimize_scalar  # which only fitting needs

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
