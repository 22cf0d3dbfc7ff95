"""Change in perplexity, and the one-sided test that it is below a margin.

Both arms read the same text, so differences are paired, and whole clusters (documents of one
module, articles) are resampled: tokens of one text are not independent. The null hypothesis
is that the change is at least the margin; a small p-value says that VAR is not worse by that
much.
"""

import math
from collections.abc import Sequence

import numpy as np
from scipy.stats import t

from tinyguardrail_common.statistics.significance import draw_weights, percentile_interval


def perplexity_change(
    tokens: np.ndarray, nll_baseline: np.ndarray, nll_other: np.ndarray, weights: np.ndarray | None = None
) -> np.ndarray:
    """exp(sum(nll_other - nll_baseline) / sum(tokens)) - 1, as a fraction.

    Args:
        tokens, nll_baseline, nll_other: predicted tokens and summed nats per cluster, (n,).
        weights: bootstrap counts, (B, n); without them the plain value, shape (1,).
    """
    weights = np.ones((1, len(tokens))) if weights is None else weights
    return np.exp(weights @ (nll_other - nll_baseline) / (weights @ tokens)) - 1


def change_with_interval(
    tokens: np.ndarray, nll_baseline: np.ndarray, nll_other: np.ndarray, samples: int, seed: int
) -> tuple[float, tuple[float, float]]:
    """The change and its 95% interval over clusters, by `samples` bootstrap draws."""
    weights = draw_weights(len(tokens), samples, seed)
    change = float(perplexity_change(tokens, nll_baseline, nll_other)[0])
    return change, percentile_interval(perplexity_change(tokens, nll_baseline, nll_other, weights))


def p_over_texts(resampled: np.ndarray, margin: float) -> float:
    """One-sided p-value from bootstrap samples of the change, (B,): the share at or above the margin.

    The percentile interval turned round: p <= a just when the one-sided 1 - a upper bound is
    below the margin. One is added above and below the line, so that p is never zero.
    """
    return (1 + int(np.sum(resampled >= margin))) / (1 + len(resampled))


def p_over_seeds(changes: Sequence[float], margin: float) -> float | None:
    """One-sided Student t test over training seeds; None for fewer than two, or without spread."""
    count = len(changes)
    spread = float(np.std(changes, ddof=1)) if count > 1 else 0.0
    if spread <= 1e-12:
        return None
    return float(t.cdf((float(np.mean(changes)) - margin) / (spread / math.sqrt(count)), count - 1))
