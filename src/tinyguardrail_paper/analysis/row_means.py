"""Means of row values and their intervals: rates, and differences between two guards.

Intervals are about other texts and other seeds together.
"""

import numpy as np

from tinyguardrail_common.statistics.significance import ParentBootstrap
from tinyguardrail_paper.analysis.intervals import bootstrap_interval, clustered_wilson
from tinyguardrail_paper.analysis.scores import Scores
from tinyguardrail_paper.analysis.summary import Summary, over_texts


def row_mean(scores: Scores, hits: np.ndarray, rows: np.ndarray) -> Summary:
    """Mean over rows of (S, N) hits, with a Wilson interval over parents and seeds."""
    own = hits[:, rows].astype(float)
    interval = clustered_wilson(own, scores.rows["parent_id"][rows])
    return over_texts(own.mean(axis=1), interval, len(rows), scores.seeds, "percent")


def mean_gap(scores: Scores, gaps: np.ndarray, rows: np.ndarray, bootstrap: ParentBootstrap) -> Summary:
    """Mean over rows of (S, N) differences between two guards, with an interval over parents and seeds."""
    own = gaps[:, rows]
    values, samples = own.mean(axis=1), weighted_mean(own.mean(axis=0), bootstrap.weights(rows))
    return over_texts(values, bootstrap_interval(samples, values), len(rows), scores.seeds, "points")


def weighted_mean(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Mean of (n,) row values by (B, n) bootstrap weights, (B,); NaN where a sample has no row."""
    with np.errstate(invalid="ignore"):
        return weights @ values / weights.sum(axis=1)
