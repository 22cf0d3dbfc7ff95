"""Change in perplexity and its test, against formulas written another way."""

import math

import numpy as np
import pytest
from scipy.stats import norm, ttest_1samp

from tinyguardrail_common.statistics.non_inferiority import (
    change_with_interval,
    p_over_seeds,
    p_over_texts,
    perplexity_change,
)


def clusters(change: float, count: int = 400, seed: int = 0):
    """Equal clusters whose difference in nats per token is normal around log(1 + change)."""
    generator = np.random.default_rng(seed)
    tokens = np.full(count, 100.0)
    baseline = 400 + generator.normal(0, 20, count)
    return tokens, baseline, baseline + 100 * generator.normal(math.log1p(change), 0.02, count)


def test_the_change_is_the_ratio_of_two_perplexities():
    tokens, baseline, other = clusters(0.03)
    ratio = math.exp(other.sum() / tokens.sum()) / math.exp(baseline.sum() / tokens.sum())
    assert perplexity_change(tokens, baseline, other)[0] == pytest.approx(ratio - 1)


def test_the_interval_is_that_of_the_normal_theory():
    """With equal clusters the log of the ratio is a mean, whose standard error is known."""
    tokens, baseline, other = clusters(0.004)
    change, (low, high) = change_with_interval(tokens, baseline, other, samples=4000, seed=1)
    nats = (other - baseline) / 100
    error = nats.std(ddof=1) / math.sqrt(len(nats))
    assert math.log1p(change) == pytest.approx(nats.mean())
    assert math.log1p(low) == pytest.approx(nats.mean() - 1.96 * error, abs=0.15 * error)
    assert math.log1p(high) == pytest.approx(nats.mean() + 1.96 * error, abs=0.15 * error)


def test_pairing_removes_what_both_arms_share():
    """Perplexities vary far more between texts than their change does."""
    tokens, baseline, other = clusters(0.0)
    _, (low, high) = change_with_interval(tokens, baseline, other, samples=500, seed=1)
    unpaired = 1.96 * math.sqrt(2) * (baseline / 100).std() / math.sqrt(len(tokens))
    assert high - low < unpaired / 2


def test_the_p_value_over_texts_is_that_of_the_normal_theory():
    samples = np.random.default_rng(2).normal(0.008, 0.001, 100_000)
    assert p_over_texts(samples, 0.01) == pytest.approx(norm.sf(2), rel=0.05)
    assert p_over_texts(samples, 0.5) == 1 / 100_001


def test_the_p_value_over_seeds_is_students():
    changes = [0.002, 0.004, 0.0035, 0.001]
    expected = ttest_1samp(changes, 0.01, alternative="less").pvalue
    assert p_over_seeds(changes, 0.01) == pytest.approx(expected)
    assert p_over_seeds([0.02, 0.021, 0.0195], 0.01) > 0.99
    assert p_over_seeds([0.002], 0.01) is None
    assert p_over_seeds([0.002, 0.002], 0.01) is None


def test_an_inferior_arm_is_rarely_called_non_inferior():
    """At a true change equal to the margin, p falls below 0.05 about one time in twenty."""
    from tinyguardrail_common.statistics.significance import draw_weights

    weights, hits = draw_weights(80, 400, 3), 0
    for seed in range(200):
        tokens, baseline, other = clusters(0.01, count=80, seed=seed)
        hits += p_over_texts(perplexity_change(tokens, baseline, other, weights), 0.01) <= 0.05
    assert hits <= 22
