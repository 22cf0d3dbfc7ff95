"""95% intervals over test texts and training seeds together.

A reported value is a mean over a few seeds' models on one set of texts, so other texts would change it
and other seeds would. The two variances add up, as in two-way clustering (Cameron, Gelbach and Miller 2011);
their third term, for what each seed makes of single texts, is in both and not taken off, so intervals
err on the side of width. That of the seeds is known from as few degrees of freedom as there are seeds
but one: the quantile is Student's, with the degrees of freedom of the sum (Satterthwaite 1946), which is
near the normal one where texts vary more and near that of `t_interval` where seeds do.

Resampling the seeds themselves, beside the parents, would not do: three of them drawn with replacement
show two thirds of their variance and nothing of its uncertainty. In the simulation of
`tests/test_intervals.py`, where three to five seeds differ by .3 to .6 of what texts do, intervals over
parents alone cover .48 to .80 of a nominal .95, with drawn seeds .81 to .92, these .92 to .95.

One seed has no spread to be seen: the interval is over texts alone.
"""

import math
from collections.abc import Sequence

import numpy as np
from scipy.special import ndtri
from scipy.stats import t

from tinyguardrail_common.statistics.significance import LEVEL, percentile_interval

NORMAL_QUANTILE = float(ndtri(0.5 + LEVEL / 2))


def two_way(variance_over_texts: float, values: Sequence[float]) -> tuple[float, float]:
    """Variance of a mean over texts and seeds, and the quantile that its square root is to be taken by.

    Args:
        variance_over_texts: of the mean over these seeds.
        values: of each seed, (S,).
    """
    count = len(values)
    over_seeds = float(np.var(values, ddof=1)) / count if count > 1 else 0.0
    variance = variance_over_texts + over_seeds
    if over_seeds <= 1e-15:
        return variance, NORMAL_QUANTILE
    freedom = (count - 1) * (variance / over_seeds) ** 2
    return variance, float(t.ppf(0.5 + LEVEL / 2, freedom))


def bootstrap_interval(
    samples: np.ndarray, values: Sequence[float], fraction: bool = False
) -> tuple[float, float]:
    """Percentile interval over draws of parents, stretched about its middle for what seeds add.

    Args:
        samples: mean over seeds in each draw, (B,); NaN is left out.
        values: of each seed, (S,).
        fraction: shift by the bootstrap's own bias and keep within [0, 1], as `percentile_interval` does.
    """
    middle, over_texts = float(np.nanmean(samples)), float(np.nanvar(samples))
    variance, quantile = two_way(over_texts, values)
    if over_texts > 1e-15:
        stretch = quantile / NORMAL_QUANTILE * math.sqrt(variance / over_texts)
        stretched = middle + stretch * (samples - middle)
    else:
        half = quantile * math.sqrt(variance)
        stretched = np.array([middle - half, middle + half])
    return percentile_interval(stretched, estimate=float(np.mean(values)) if fraction else None)


def clustered_wilson(hits: np.ndarray, parents: np.ndarray) -> tuple[float, float]:
    """Score interval of the mean of hits in [0, 1], (S, n), or (n,) of one seed, on rows of families."""
    hits = np.atleast_2d(hits)
    return wilson_over_seeds(hits.mean(axis=1), effective_rows(hits.mean(axis=0), parents))


def wilson_over_seeds(values: Sequence[float], n: float) -> tuple[float, float]:
    """Score interval of the mean of each seed's rate, (S,), on `n` independent rows.

    `n` may be fractional: an effective sample size. What seeds add is taken for so many rows fewer.
    """
    rate = float(np.mean(values))
    spread = rate * (1 - rate)
    if spread <= 0:
        return wilson_interval(rate, n)
    variance, quantile = two_way(spread / n, values)
    return wilson_interval(rate, spread / variance, quantile)


def wilson_interval(rate: float, n: float, quantile: float = NORMAL_QUANTILE) -> tuple[float, float]:
    """Score interval of a proportion (Wilson 1927).

    `n` may be fractional: an effective sample size (see `effective_rows`). The interval
    stays inside [0, 1] and has a width at rates of 0 and 1, where a bootstrap has none.
    """
    z = quantile
    denominator = 1 + z * z / n
    centre = (rate + z * z / (2 * n)) / denominator
    half = z * math.sqrt(rate * (1 - rate) / n + z * z / (4 * n * n)) / denominator
    return max(0.0, centre - half), min(1.0, centre + half)


def effective_rows(values: np.ndarray, parents: np.ndarray) -> float:
    """How many independent rows a mean of row values in [0, 1], (n,), is worth whose rows come in families.

    Rows made from one parent text are alike, so n rows carry less than n rows' evidence.
    The effective size is rate * (1 - rate) / variance, with the linearised variance of a
    mean over clusters (Korn and Graubard 1998); without any spread it is the number of
    parents. `values` may be means over seeds.
    """
    n, rate = len(values), float(np.mean(values))
    _, index = np.unique(parents, return_inverse=True)
    clusters = int(index.max()) + 1
    residuals = np.bincount(index, weights=values - rate)
    variance = float(residuals @ residuals) / n**2 * clusters / max(1, clusters - 1)
    effective = rate * (1 - rate) / variance if variance > 1e-15 else float(clusters)
    return min(max(effective, 1.0), float(n))
