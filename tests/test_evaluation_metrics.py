"""Metrics, plain and over the draws of a bootstrap, against formulas written out here."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from labelled_scores import labelled, unzip
from tinyguardrail.evaluation import metrics, resampled
from tinyguardrail.evaluation.var import perplexity_change

# ---- point estimates -------------------------------------------------------------------------


@given(labelled)
def test_auc_is_the_chance_that_a_threat_outranks_a_benign_row(rows):
    threat, score = unzip(rows)
    pairs = [(a > b) + 0.5 * (a == b) for a in score[threat] for b in score[~threat]]
    assert metrics.auc(threat, score) == pytest.approx(np.mean(pairs))


@given(labelled, st.sampled_from([0.0, 0.1, 0.5]))
def test_operating_points_are_the_best_of_all_thresholds(rows, limit):
    threat, score = unzip(rows)
    points = [
        (np.mean(score[~threat] >= t), np.mean(score[threat] >= t)) for t in [*np.unique(score), math.inf]
    ]
    assert metrics.tpr_at_fpr(threat, score, limit) == max(tpr for fpr, tpr in points if fpr <= limit)
    assert metrics.fpr_at_recall(threat, score, 0.95) == min(fpr for fpr, tpr in points if tpr >= 0.95)


def test_rates_count_only_their_own_class():
    threat = np.array([1, 1, 1, 1, 0, 0], dtype=bool)
    blocked = np.array([1, 1, 1, 0, 1, 0], dtype=bool)
    assert metrics.recall(threat, blocked) == 0.75
    assert metrics.false_positive_rate(threat, blocked) == 0.5
    with pytest.raises(ValueError, match="needs threats"):
        metrics.recall(np.zeros(2, dtype=bool), np.zeros(2, dtype=bool))


def test_macro_f1_averages_over_the_classes_that_occur():
    label = np.array([0, 0, 0, 1, 1, 2])
    predicted = np.array([0, 0, 1, 1, 3, 2])
    by_class = [2 * 2 / (3 + 2), 2 * 1 / (2 + 2), 2 * 1 / (1 + 1)]
    assert metrics.macro_f1(label, predicted) == pytest.approx(np.mean(by_class))
    counts = metrics.confusion_matrix(label, predicted, 4)
    assert counts.sum() == 6
    assert counts[1, 3] == 1


@given(st.lists(st.tuples(st.floats(0.25, 1), st.booleans()), min_size=1, max_size=60), st.integers(2, 20))
def test_calibration_error_is_the_weighted_gap_over_bins(rows, bins):
    confidence, correct = (np.array(column, dtype=float) for column in zip(*rows, strict=True))
    expected = 0.0
    for index in range(bins):
        own = (np.minimum(np.floor(confidence * bins), bins - 1)) == index
        if own.any():
            expected += own.mean() * abs(correct[own].mean() - confidence[own].mean())
    assert metrics.expected_calibration_error(confidence, correct, bins) == pytest.approx(expected)


@given(st.integers(1, 400), st.data())
def test_wilson_interval_matches_scipy(n, data):
    hits = data.draw(st.integers(0, n))
    expected = stats.binomtest(hits, n).proportion_ci(0.95, method="wilson")
    assert metrics.wilson_interval(hits / n, n) == pytest.approx((expected.low, expected.high), abs=1e-9)


def test_no_false_positive_still_leaves_doubt():
    low, high = metrics.clustered_wilson(np.zeros(60), np.repeat(np.arange(20), 3))
    assert low == 0
    assert high == pytest.approx(metrics.wilson_interval(0, 20)[1])


@pytest.mark.parametrize("size", [1, 5])
def test_clustered_interval_covers_the_true_rate(size):
    """Rows of one parent share their fate half of the time; a plain interval would be too short."""
    generator, covered, rounds, parents = np.random.default_rng(1), 0, 400, 80
    index = np.repeat(np.arange(parents), size)
    for _ in range(rounds):
        common = (generator.random(parents) < 0.3)[index]
        own = generator.random(parents * size) < 0.3
        values = np.where(generator.random(parents)[index] < 0.5, common, own).astype(float)
        low, high = metrics.clustered_wilson(values, index)
        covered += low <= 0.3 <= high
    assert 0.92 <= covered / rounds <= 0.985


def test_perplexity_change_compares_exponentials_of_mean_nats():
    tokens, before, after = np.array([10, 30]), np.array([20.0, 45.0]), np.array([21.0, 45.0])
    expected = math.exp(66 / 40) / math.exp(65 / 40) - 1
    assert perplexity_change(tokens, before, after)[0] == pytest.approx(expected)
    twice_first = perplexity_change(tokens, before, after, np.array([[2.0, 1.0]]))
    assert twice_first[0] == pytest.approx(math.exp(2 / 50) - 1)


# ---- the bootstrap's own forms ---------------------------------------------------------------


@settings(max_examples=60)
@given(labelled, st.integers(0, 2**32 - 1))
def test_weighted_metrics_equal_plain_ones_on_repeated_rows(rows, seed):
    threat, score = unzip(rows)
    generator = np.random.default_rng(seed)
    label, predicted = (
        threat * generator.integers(1, 4, size=len(threat)),
        generator.integers(4, size=len(threat)),
    )
    confidence, correct = 0.25 + 0.75 * score, (label == predicted).astype(float)
    counts = generator.integers(1, 4, size=len(threat))
    drawn = np.repeat(np.arange(len(threat)), counts)
    weights = np.stack([np.ones(len(threat)), counts]).astype(np.float32)
    for row, index in enumerate((np.arange(len(threat)), drawn)):
        pairs = [
            (resampled.auc(threat, score, weights), metrics.auc(threat[index], score[index])),
            (
                resampled.tpr_at_fpr(threat, score, weights, 0.1),
                metrics.tpr_at_fpr(threat[index], score[index], 0.1),
            ),
            (
                resampled.fpr_at_recall(threat, score, weights, 0.95),
                metrics.fpr_at_recall(threat[index], score[index], 0.95),
            ),
            (resampled.macro_f1(label, predicted, weights), metrics.macro_f1(label[index], predicted[index])),
            (
                resampled.expected_calibration_error(confidence, correct, weights, 10),
                metrics.expected_calibration_error(confidence[index], correct[index], 10),
            ),
            (resampled.mean(correct, weights), correct[index].mean()),
        ]
        for many, one in pairs:
            assert many[row] == pytest.approx(one, abs=1e-5)


def test_a_sample_without_threats_has_no_auc():
    threat, score = np.array([True, False]), np.array([0.9, 0.1])
    values = resampled.auc(threat, score, np.array([[1, 1], [0, 2]], dtype=float))
    assert values[0] == 1
    assert np.isnan(values[1])
