"""Means of row values and their intervals: rates, and differences between two guards.

Intervals are about other texts; the spread between seeds is reported beside them.
"""

import math

import numpy as np
from scipy.special import ndtri

from tinyguardrail_common.statistics.significance import ParentBootstrap, percentile_interval
from tinyguardrail_paper.analysis.scores import Scores
from tinyguardrail_paper.analysis.summary import Summary, over_texts


def row_mean(scores: Scores, hits: np.ndarray, rows: np.ndarray) -> Summary:
    """Mean over rows of (S, N) hits, with a clustered Wilson interval of the mean over seeds."""
    own = hits[:, rows].astype(float)
    interval = clustered_wilson(own.mean(axis=0), scores.rows["parent_id"][rows])
    return over_texts(own.mean(axis=1), interval, len(rows), scores.seeds, "percent")


def mean_gap(scores: Scores, gaps: np.ndarray, rows: np.ndarray, bootstrap: ParentBootstrap) -> Summary:
    """Mean over rows of (S, N) differences between two guards, with a bootstrap interval over parents."""
    own = gaps[:, rows]
    samples = weighted_mean(own.mean(axis=0), bootstrap.weights(rows))
    return over_texts(own.mean(axis=1), percentile_interval(samples), len(rows), scores.seeds, "points")


def weighted_mean(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Mean of (n,) row values by (B, n) bootstrap weights, (B,); NaN where a sample has no row."""
    with np.errstate(invalid="ignore"):
        return weights @ values / weights.sum(axis=1)


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
    parents. `values` may be means over seeds.
    """
    n = len(values)
    rate = float(np.mean(values))
    _, index = np.unique(parents, return_inverse=True)
    clusters = int(index.max()) + 1
    residuals = np.bincount(index, weights=values - rate)
    variance = float(residuals @ residuals) / n**2 * clusters / max(1, clusters - 1)
    effective = rate * (1 - rate) / variance if variance > 1e-15 else float(clusters)
    return wilson_interval(rate, min(max(effective, 1.0), float(n)), level)
