"""Metrics, plain and over the draws of a bootstrap, against formulas written out here."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from labelled_scores import labelled, unzip
from tinyguardrail.data.macro_f1 import macro_f1
from tinyguardrail_common.errors import UserError
from tinyguardrail_common.statistics.significance import ParentBootstrap
from tinyguardrail_paper.analysis.intervals import clustered_wilson, wilson_interval
from tinyguardrail_paper.analysis.metrics import METRICS, metric
from tinyguardrail_paper.analysis.metrics.calibration_error import expected_calibration_error
from tinyguardrail_paper.analysis.metrics.metric import Rows, Sample, Statistic
from tinyguardrail_paper.analysis.metrics.ranking import auc, fpr_at_recall, tpr_at_fpr, weighted_auc
from tinyguardrail_paper.analysis.routing import decide
from tinyguardrail_paper.analysis.row_means import weighted_mean
from tinyguardrail_paper.analysis.var import perplexity_change
from tinyguardrail_paper.tables.formatting import number

# ---- point estimates -------------------------------------------------------------------------


@given(labelled)
def test_auc_is_the_chance_that_a_threat_outranks_a_benign_row(rows):
    threat, score = unzip(rows)
    pairs = [(a > b) + 0.5 * (a == b) for a in score[threat] for b in score[~threat]]
    assert auc(threat, score) == pytest.approx(np.mean(pairs))


@given(labelled, st.sampled_from([0.0, 0.1, 0.5]))
def test_operating_points_are_the_best_of_all_thresholds(rows, limit):
    threat, score = unzip(rows)
    points = [
        (np.mean(score[~threat] >= t), np.mean(score[threat] >= t)) for t in [*np.unique(score), math.inf]
    ]
    assert tpr_at_fpr(threat, score, limit) == max(tpr for fpr, tpr in points if fpr <= limit)
    assert fpr_at_recall(threat, score, 0.95) == min(fpr for fpr, tpr in points if tpr >= 0.95)


def test_rates_count_only_their_own_class(scores):
    decisions, rows = decide(scores, 0.5, 0.05), np.flatnonzero(scores.split("test"))
    sample = Sample(rows, scores, decisions, ParentBootstrap(scores.rows["parent_id"], 50, 0), 10)
    blocked, threat = decisions.blocked[:, rows], scores.intent[rows] != 0
    for name, own in (("recall", threat), ("false_positive_rate", ~threat)):
        found = metric(name).measure(sample)
        assert found.values == pytest.approx(blocked[:, own].mean(axis=1))
        assert (found.n, found.format) == (own.sum(), "percent")
    right = decisions.probabilities[:, rows].argmax(axis=-1) == scores.intent[rows]
    assert metric("accuracy").measure(sample).values == pytest.approx(right.mean(axis=1))


def test_a_metric_needs_rows_of_the_sides_it_is_about():
    sides = {"threats": np.ones(5, bool), "benign": np.zeros(5, bool), "both": np.arange(5) < 3}
    for name, needed in (("recall", "threats"), ("false_positive_rate", "benign"), ("auc", "both")):
        kind = min(metric(name).kinds)
        supported = {side for side, threat in sides.items() if metric(name).supports(kind, threat)}
        assert supported == {needed, "both"}
    assert not any(each.supports(min(each.kinds), np.zeros(0, bool)) for each in METRICS.values())


def test_every_metric_has_a_title_and_a_format_that_can_be_written():
    assert len({each.title for each in METRICS.values()}) == len(METRICS)
    assert all(number(0.5, each.format) for each in METRICS.values())


def test_an_unknown_metric_is_told_the_known_ones():
    with pytest.raises(UserError, match=r"unknown metric 'f2'; known: ece, .*recall"):
        metric("f2")


def test_macro_f1_averages_over_the_classes_that_occur():
    intent = np.array([0, 0, 0, 1, 1, 2])
    predicted = np.array([0, 0, 1, 1, 3, 2])
    by_class = [2 * 2 / (3 + 2), 2 * 1 / (2 + 2), 2 * 1 / (1 + 1)]
    assert macro_f1(intent, predicted) == pytest.approx(np.mean(by_class))


@given(st.lists(st.tuples(st.floats(0.25, 1), st.booleans()), min_size=1, max_size=60), st.integers(2, 20))
def test_calibration_error_is_the_weighted_gap_over_bins(rows, bins):
    confidence, correct = (np.array(column, dtype=float) for column in zip(*rows, strict=True))
    expected = 0.0
    for index in range(bins):
        own = (np.minimum(np.floor(confidence * bins), bins - 1)) == index
        if own.any():
            expected += own.mean() * abs(correct[own].mean() - confidence[own].mean())
    assert expected_calibration_error(confidence, correct, bins) == pytest.approx(expected)


@given(st.integers(1, 400), st.data())
def test_wilson_interval_matches_scipy(n, data):
    hits = data.draw(st.integers(0, n))
    expected = stats.binomtest(hits, n).proportion_ci(0.95, method="wilson")
    assert wilson_interval(hits / n, n) == pytest.approx((expected.low, expected.high), abs=1e-9)


def test_no_false_positive_still_leaves_doubt():
    low, high = clustered_wilson(np.zeros(60), np.repeat(np.arange(20), 3))
    assert low == 0
    assert high == pytest.approx(wilson_interval(0, 20)[1])


@pytest.mark.parametrize("size", [1, 5])
def test_clustered_interval_covers_the_true_rate(size):
    """Rows of one parent share their fate half of the time; a plain interval would be too short."""
    generator, covered, rounds, parents = np.random.default_rng(1), 0, 400, 80
    index = np.repeat(np.arange(parents), size)
    for _ in range(rounds):
        common = (generator.random(parents) < 0.3)[index]
        own = generator.random(parents * size) < 0.3
        values = np.where(generator.random(parents)[index] < 0.5, common, own).astype(float)
        low, high = clustered_wilson(values, index)
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
    intent = threat * generator.integers(1, 4, size=len(threat))
    predicted = generator.integers(4, size=len(threat))
    counts = generator.integers(1, 4, size=len(threat))
    family = generator.integers(2, size=len(threat))
    columns = (threat, score, predicted > 0, intent, predicted, 0.25 + 0.75 * score, family)
    weights = np.stack([np.ones(len(threat)), counts]).astype(np.float32)
    for row, index in enumerate((np.arange(len(threat)), np.repeat(np.arange(len(threat)), counts))):
        drawn = Rows(*(column[index] for column in columns), bins=10)
        for each in (each for each in METRICS.values() if isinstance(each, Statistic)):
            many = each.weighted(Rows(*columns, bins=10), weights)
            assert many[row] == pytest.approx(each.point(drawn), abs=1e-5), each.name
        values = columns[2].astype(float)
        assert weighted_mean(values, weights)[row] == pytest.approx(values[index].mean(), abs=1e-5)


def test_a_sample_without_threats_has_no_auc():
    threat, score = np.array([True, False]), np.array([0.9, 0.1])
    values = weighted_auc(threat, score, np.array([[1, 1], [0, 2]], dtype=float))
    assert values[0] == 1
    assert np.isnan(values[1])
