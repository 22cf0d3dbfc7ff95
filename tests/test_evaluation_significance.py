"""Bootstrap and tests of differences against formulas written out here."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from labelled_scores import labelled, unzip
from tinyguardrail_common.statistics.significance import (
    ParentBootstrap,
    approximate_randomisation,
    auc_contributions,
    draw_weights,
    holm,
    mcnemar,
    paired_t,
    percentile_interval,
    t_interval,
)
from tinyguardrail_paper.analysis.metrics.ranking import auc
from tinyguardrail_paper.analysis.row_means import weighted_mean


def test_bootstrap_draws_whole_parents_and_repeats_with_its_seed():
    parents = np.array(["a", "b", "a", "c"])
    weights = ParentBootstrap(parents, 500, seed=3).weights(np.arange(4))
    assert np.array_equal(weights[:, 0], weights[:, 2])
    assert np.array_equal(weights, ParentBootstrap(parents, 500, seed=3).weights(np.arange(4)))
    assert weights[:, [0, 1, 3]].sum(axis=1).tolist() == [3] * 500


def test_bootstrap_interval_covers_the_true_mean():
    generator, covered, rounds = np.random.default_rng(2), 0, 300
    weights = draw_weights(60, 400, seed=0)
    for _ in range(rounds):
        values = generator.normal(0.5, 0.1, size=60)
        low, high = percentile_interval(weighted_mean(values, weights))
        covered += low <= 0.5 <= high
    assert 0.91 <= covered / rounds <= 0.985


def test_mcnemar_is_a_sign_test_on_the_rows_that_differ():
    a = np.array([1] * 9 + [0] * 2 + [1] * 5, dtype=bool)
    b = np.array([0] * 9 + [1] * 2 + [1] * 5, dtype=bool)
    tail = sum(math.comb(11, k) for k in range(3)) / 2**11
    assert mcnemar(a, b) == (9, 2, pytest.approx(2 * tail))
    assert mcnemar(a, a) == (0, 0, 1.0)


@given(labelled, st.integers(0, 2**32 - 1))
def test_auc_difference_is_linear_in_the_exchange_of_scores(rows, seed):
    threat, first = unzip(rows)
    generator = np.random.default_rng(seed)
    second, swap = generator.integers(9, size=len(threat)) / 8, generator.random(len(threat)) < 0.5
    mixed_a, mixed_b = np.where(swap, second, first), np.where(swap, first, second)
    expected = auc(threat, mixed_a) - auc(threat, mixed_b)
    contributions = auc_contributions(threat, first, second)
    assert np.sum(np.where(swap, -1, 1) * contributions) == pytest.approx(expected, abs=1e-9)


def test_randomisation_finds_an_effect_and_is_fair_without_one():
    generator = np.random.default_rng(6)
    parents = np.repeat(np.arange(50), 2)
    difference, p = approximate_randomisation(generator.normal(0.5, 1, 100) / 100, parents, 1000, 0)
    assert difference == pytest.approx(0.5, abs=0.3)
    assert p < 0.01
    ps = [approximate_randomisation(generator.normal(0, 1, 100), parents, 200, i)[1] for i in range(300)]
    assert 0.02 <= np.mean(np.array(ps) <= 0.05) <= 0.09


def test_paired_t_over_seeds_matches_scipy():
    a, b = [0.91, 0.93, 0.90, 0.94], [0.89, 0.92, 0.91, 0.90]
    found = paired_t(a, b)
    assert found["p"] == pytest.approx(stats.ttest_rel(a, b).pvalue)
    differences = np.subtract(a, b)
    assert found["effect_size"] == pytest.approx(differences.mean() / differences.std(ddof=1))
    assert paired_t([0.9], [0.8])["p"] is None


def test_t_interval_matches_scipy_and_needs_two_seeds():
    values = [0.1, 0.4, 0.2]
    expected = stats.t.interval(0.95, 2, loc=np.mean(values), scale=stats.sem(values))
    assert t_interval(values) == pytest.approx(expected)
    assert t_interval([0.1]) is None


def test_holm_steps_down_and_never_falls():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
