"""Intervals cover what they claim: other texts and other training runs, of which there are three to five."""

import numpy as np
import pytest
from scipy.stats import norm

from tinyguardrail_common.statistics.significance import draw_weights, percentile_interval, t_interval
from tinyguardrail_paper.analysis.intervals import (
    bootstrap_interval,
    clustered_wilson,
    effective_rows,
    two_way,
    wilson_interval,
    wilson_over_seeds,
)
from tinyguardrail_paper.analysis.row_means import weighted_mean

SEEDS = (3, 4, 5)
PARENTS, ROWS, ROUNDS, SAMPLES = 80, 3, 1000, 300
# Standard deviations of what a text, a training run, and the one on the other, add to a score.
TEXT, NOISE = 1.0, 0.5
WEIGHTS = draw_weights(PARENTS, SAMPLES, seed=0)


def scores(generator, seeds: int, seed_spread: float) -> np.ndarray:
    """(S, parents) made-up scores with a mean of zero over all texts and seeds."""
    common = seed_spread * generator.normal(size=(seeds, 1)) + TEXT * generator.normal(size=PARENTS)
    return common + NOISE * generator.normal(size=(seeds, PARENTS))


def coverage(interval, made, truth: float) -> float:
    inside = [low <= truth <= high for low, high in map(interval, made)]
    return float(np.mean(inside))


def over_parents(each: np.ndarray) -> tuple[float, float]:
    """What was reported before: the spread between seeds is left out."""
    return percentile_interval(weighted_mean(each.mean(axis=0), WEIGHTS))


def over_both(each: np.ndarray) -> tuple[float, float]:
    return bootstrap_interval(weighted_mean(each.mean(axis=0), WEIGHTS), each.mean(axis=1))


def over_drawn_seeds(each: np.ndarray) -> tuple[float, float]:
    """Seeds drawn with replacement beside the parents."""
    drawn = draw_weights(len(each), SAMPLES, seed=1) / len(each)
    return percentile_interval(np.einsum("bs,sp,bp->b", drawn, each, WEIGHTS) / PARENTS)


@pytest.mark.parametrize("seeds", SEEDS)
def test_a_bootstrap_interval_covers_texts_and_seeds_where_that_of_texts_does_not(seeds):
    generator = np.random.default_rng(seeds)
    made = [scores(generator, seeds, seed_spread=0.3) for _ in range(ROUNDS)]
    assert coverage(over_parents, made, 0) < 0.87
    assert 0.92 <= coverage(over_both, made, 0) <= 0.985


@pytest.mark.parametrize("seeds", SEEDS)
def test_a_rates_interval_covers_texts_and_seeds_where_that_of_texts_does_not(seeds):
    """Rows of a parent are alike, and a text is blocked where its score is above a threshold."""
    threshold, spread = 0.8, 0.3
    truth = float(norm.sf(threshold / np.sqrt(TEXT**2 + spread**2 + 2 * NOISE**2)))
    generator, parents = np.random.default_rng(10 + seeds), np.repeat(np.arange(PARENTS), ROWS)
    made = []
    for _ in range(ROUNDS):
        rows = np.repeat(scores(generator, seeds, spread), ROWS, axis=1)
        made.append(rows + NOISE * generator.normal(size=rows.shape) > threshold)
    assert coverage(lambda each: clustered_wilson(each.mean(axis=0), parents), made, truth) < 0.9
    assert 0.92 <= coverage(lambda each: clustered_wilson(each, parents), made, truth) <= 0.985


def test_drawing_three_seeds_with_replacement_does_not_cover():
    generator = np.random.default_rng(5)
    made = [scores(generator, 3, seed_spread=0.6) for _ in range(ROUNDS)]
    assert coverage(over_drawn_seeds, made, 0) < 0.85
    assert coverage(over_both, made, 0) > 0.9


@pytest.mark.parametrize("seeds", SEEDS)
def test_where_seeds_do_not_differ_little_is_added(seeds):
    generator = np.random.default_rng(20 + seeds)
    made = [scores(generator, seeds, seed_spread=0.0) for _ in range(ROUNDS)]
    assert 0.94 <= coverage(over_both, made, 0) <= 0.995
    widths = [[high - low for low, high in map(each, made)] for each in (over_both, over_parents)]
    assert 1 < np.mean(widths[0]) / np.mean(widths[1]) < 1.3


# ---- the two ends ----------------------------------------------------------------------------


def test_without_spread_between_seeds_the_interval_is_that_over_texts():
    samples = np.random.default_rng(0).normal(size=500)
    for values in ([0.4], [0.4, 0.4, 0.4]):
        assert bootstrap_interval(samples, values) == pytest.approx(percentile_interval(samples))
        assert wilson_over_seeds(values, 50) == pytest.approx(wilson_interval(0.4, 50))


def test_without_spread_between_texts_the_interval_is_students_over_seeds():
    values = [0.31, 0.35, 0.36]
    middle = float(np.mean(values))
    variance, quantile = two_way(0.0, values)
    half = quantile * np.sqrt(variance)
    assert (middle - half, middle + half) == pytest.approx(t_interval(values))
    assert bootstrap_interval(np.full(100, middle), values) == pytest.approx(t_interval(values), rel=0.03)


def test_a_fraction_stays_one():
    low, high = bootstrap_interval(np.linspace(0.9, 1, 50), [0.8, 0.95, 1.0], fraction=True)
    assert 0 <= low < 0.9
    assert high == 1
    assert all(0 <= bound <= 1 for bound in wilson_over_seeds([0.0, 0.5], 20))


def test_rows_of_a_parent_that_are_all_alike_count_once():
    values = np.repeat([0.0, 1.0, 1.0, 0.0, 1.0], 4)
    assert effective_rows(values, np.repeat(np.arange(5), 4)) == pytest.approx(
        4
    )  # five, less a degree of freedom
