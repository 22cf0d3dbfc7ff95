"""Intervals and tests: over test texts, clustered by parent, and over training seeds.

Two questions are kept apart. "Would other texts give the same result?" is answered by
resampling parents, because all variants of a text stand or fall together. "Would another
training run?" is answered by Student's t over seeds.
"""

import math
from collections.abc import Sequence

import numpy as np
from scipy.stats import binomtest, t

LEVEL = 0.95  # of every interval, as the name `ci95` says


def t_interval(values: Sequence[float]) -> tuple[float, float] | None:
    """Interval of the mean over seeds; None for a single seed, which has no spread."""
    count = len(values)
    if count < 2:
        return None
    half = float(t.ppf(0.5 + LEVEL / 2, count - 1)) * float(np.std(values, ddof=1)) / math.sqrt(count)
    mean = float(np.mean(values))
    return mean - half, mean + half


def draw_weights(clusters: int, samples: int, seed: int) -> np.ndarray:
    """(samples, clusters) counts: how often each cluster is drawn, with replacement.

    Single precision: counts and their sums stay exact, and the bootstrap takes half the time.
    """
    generator = np.random.default_rng(seed)
    draws = generator.integers(clusters, size=(samples, clusters))
    offsets = np.arange(samples)[:, None] * clusters
    counts = np.bincount((draws + offsets).ravel(), minlength=samples * clusters)
    return counts.reshape(samples, clusters).astype(np.float32)


class ParentBootstrap:
    """One set of bootstrap samples of parents, shared by every metric and every seed.

    Sharing them keeps differences between systems paired, and draws them only once.
    """

    def __init__(self, parents: np.ndarray, samples: int, seed: int) -> None:
        names, self._index = np.unique(parents, return_inverse=True)
        self._weights = draw_weights(len(names), samples, seed)

    def weights(self, rows: np.ndarray) -> np.ndarray:
        """(samples, rows) weights of the rows selected by `rows`, a mask or indices."""
        return self._weights[:, self._index[rows]]


def percentile_interval(samples: np.ndarray, estimate: float | None = None) -> tuple[float, float]:
    """Percentile bootstrap interval of (samples,) values; NaN samples are left out.

    With `estimate`, the interval of a fraction: shifted by the bootstrap's own bias
    (mean of the samples less the estimate) and kept inside [0, 1]. Calibration error and
    recall at a fixed false-positive rate are biased upwards in resampled data.
    """
    tail = 50 * (1 - LEVEL)
    low, high = np.nanpercentile(samples, [tail, 100 - tail])
    if estimate is None:
        return float(low), float(high)
    bias = float(np.nanmean(samples)) - estimate
    return max(0.0, float(low) - bias), min(1.0, float(high) - bias)


def mcnemar(correct_a: np.ndarray, correct_b: np.ndarray) -> tuple[int, int, float]:
    """Exact McNemar test of two systems on the same rows.

    Returns:
        Rows that only `a` gets right, rows that only `b` gets right, two-sided p-value.
    """
    only_a = int(np.sum(correct_a & ~correct_b))
    only_b = int(np.sum(correct_b & ~correct_a))
    if only_a + only_b == 0:
        return 0, 0, 1.0
    return only_a, only_b, float(binomtest(only_a, only_a + only_b).pvalue)


def auc_contributions(threat: np.ndarray, score_a: np.ndarray, score_b: np.ndarray) -> np.ndarray:
    """Row contributions c, (n,), whose sum is AUC(a) - AUC(b).

    If the two systems' scores are exchanged on some rows, the difference becomes the sum
    of s * c with s = -1 on exchanged rows and +1 elsewhere. (Each pair of a threat and a
    benign row contributes d00 (s_i + s_j) / 2 + d01 (s_i - s_j) / 2, where d00 and d01 are
    its differences with no score and with one score exchanged.) Approximate randomisation
    of an AUC difference is therefore a sign-flip test and needs no sorting per sample.
    """
    contributions = np.empty(len(threat))
    for rows, sign in ((threat, 1), (~threat, -1)):
        others = np.concatenate([score_a[~rows], score_b[~rows]])
        contributions[rows] = sign * (net_wins(score_a[rows], others) - net_wins(score_b[rows], others))
    return contributions / (4 * np.sum(threat) * np.sum(~threat))


def placements(threat: np.ndarray, score: np.ndarray) -> np.ndarray:
    """Share of the other side that each row is on the right side of, ties a half, (n,).

    Their mean over threats is the AUC, and so is their mean over benign rows; how they vary
    tells how the AUC does (DeLong et al. 1988).
    """
    share = np.empty(len(threat))
    share[threat] = net_wins(score[threat], score[~threat]) / np.sum(~threat)
    share[~threat] = -net_wins(score[~threat], score[threat]) / np.sum(threat)
    return (1 + share) / 2


def net_wins(own: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Of `others`, how many more lie below each of `own` than above it, (len(own),)."""
    ordered = np.sort(others)
    below = np.searchsorted(ordered, own, side="left")
    return below - (len(ordered) - np.searchsorted(ordered, own, side="right")).astype(float)


def approximate_randomisation(
    contributions: np.ndarray, parents: np.ndarray, samples: int, seed: int
) -> tuple[float, float]:
    """Exchange two systems' outputs parent by parent (Noreen 1989).

    Args:
        contributions: row terms of a difference that is linear in the exchange, (n,):
            `auc_contributions`, or (correct_a - correct_b) / n for accuracy.

    Returns:
        The difference and its two-sided p-value, (1 + hits) / (1 + samples).
    """
    _, index = np.unique(parents, return_inverse=True)
    by_parent = np.bincount(index, weights=contributions)
    observed = float(by_parent.sum())
    signs = np.random.default_rng(seed).integers(2, size=(samples, len(by_parent))) * 2.0 - 1.0
    hits = int(np.sum(np.abs(signs @ by_parent) >= abs(observed) - 1e-12))
    return observed, (1 + hits) / (1 + samples)


def paired_t(a: Sequence[float], b: Sequence[float]) -> dict[str, float | None]:
    """Paired t test over seeds, with the standardised effect size d_z = mean / sd.

    Returns:
        difference, effect_size, p: the last two None where they do not exist (one seed, or
        differences that are all alike).
    """
    differences = np.asarray(a, dtype=float) - np.asarray(b, dtype=float)
    mean = float(differences.mean())
    spread = float(differences.std(ddof=1)) if len(differences) > 1 else 0.0
    if spread <= 1e-12:
        return {"difference": mean, "effect_size": None, "p": None}
    effect = mean / spread
    p = 2 * float(t.sf(abs(effect) * math.sqrt(len(differences)), len(differences) - 1))
    return {"difference": mean, "effect_size": effect, "p": p}


def holm(p_values: Sequence[float]) -> list[float]:
    """Step-down adjusted p-values (Holm 1979), in the order given."""
    order = np.argsort(p_values, kind="stable")
    adjusted = np.empty(len(order))
    factors = np.arange(len(order), 0, -1)
    adjusted[order] = np.maximum.accumulate(factors * np.asarray(p_values, dtype=float)[order]).clip(max=1)
    return adjusted.tolist()
