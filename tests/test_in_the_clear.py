"""Obfuscated rows are compared with the same texts in the clear, authored languages with English."""

import numpy as np
import pytest

from tinyguardrail.data.labels import INTENTS
from tinyguardrail.runtime.policy import POLICIES
from tinyguardrail_common.statistics.significance import ParentBootstrap
from tinyguardrail_paper.analysis.in_the_clear import blocked_in_the_clear, evaluate_in_the_clear
from tinyguardrail_paper.analysis.languages import evaluate_languages
from tinyguardrail_paper.analysis.metrics.metric import Sample
from tinyguardrail_paper.analysis.routing import Decisions
from tinyguardrail_paper.analysis.scores import Scores
from tinyguardrail_paper.analysis.suites import build_suites

COLUMNS = ("parent_id", "intent", "family", "transform", "split", "language")
# Two seeds' scores; a score of at least 0.5 is blocked.
PAIRS = (
    ("a", "harm", "plain_request", "none", "test", "en", (0.9, 0.9)),
    ("a", "harm", "homoglyph", "homoglyph", "test", "en", (0.9, 0.1)),
    ("b", "harm", "plain_request", "none", "test", "en", (0.9, 0.1)),
    ("b", "harm", "homoglyph", "homoglyph", "test", "en", (0.9, 0.9)),
    ("b", "injection", "email", "none", "test", "en", (0.1, 0.1)),  # another intent of the same parent
    ("c", "harm", "homoglyph", "homoglyph", "test", "en", (0.1, 0.1)),  # nothing to pair it with
    ("d", "benign", "everyday", "none", "test", "en", (0.1, 0.9)),
    ("d", "benign", "everyday", "none", "test", "en", (0.9, 0.9)),  # its two texts count half each
    ("d", "benign", "homoglyph", "homoglyph", "test", "en", (0.9, 0.9)),
    ("e", "benign", "everyday", "none", "validation", "en", (0.9, 0.9)),
    ("e", "benign", "homoglyph", "homoglyph", "validation", "en", (0.9, 0.9)),
)
LANGUAGES = (
    ("a", "harm", "plain_request", "none", "test", "en", (0.9, 0.9)),
    ("b", "injection", "email", "none", "test", "en", (0.9, 0.1)),
    ("c", "harm", "plain_request", "none", "test", "de", (0.1, 0.1)),
    ("d", "harm", "plain_request", "none", "test", "zh", (0.9, 0.9)),
    ("e", "benign", "everyday", "none", "test", "zh", (0.9, 0.9)),
    ("f", "benign", "everyday", "none", "test", "en", (0.1, 0.1)),
    ("g", "harm", "homoglyph", "homoglyph", "test", "de", (0.1, 0.1)),  # obfuscated rows do not count
)


def sample_of(table, policy="any", source="authored"):
    """All rows of a table, as two seeds' guards decide on them."""
    *columns, scored = zip(*table, strict=True)
    rows = {name: np.array(column) for name, column in zip(COLUMNS, columns, strict=True)}
    rows["source"] = np.full(len(table), source)
    threat, count = np.array(scored).T, len(table)
    intent = np.array([INTENTS.index(each) for each in rows["intent"]])
    probabilities = np.stack([1 - threat, threat, 0 * threat, 0 * threat], axis=-1)
    scores = Scores((0, 1), rows, intent, probabilities, probabilities, np.zeros((2, count)))
    decisions = Decisions(
        deep=np.zeros((2, count), dtype=bool),
        probabilities=probabilities,
        threat_score=threat,
        predicted=probabilities.argmax(axis=-1),
        blocked=threat >= 0.5,
        temperature=np.ones(2),
        block_threshold=np.full(2, 0.5),
    )
    bootstrap = ParentBootstrap(rows["parent_id"], 200, seed=0)
    return Sample(np.arange(count), scores.under(POLICIES[policy]), decisions, bootstrap, 5)


def test_a_row_is_paired_with_its_parents_text_of_the_same_intent():
    sample = sample_of(PAIRS)
    clear = blocked_in_the_clear(sample.scores, sample.decisions.blocked)
    expected = np.full((2, len(PAIRS)), np.nan)
    expected[:, 1], expected[:, 3], expected[:, 8] = (1, 1), (1, 0), (0.5, 1)
    assert np.array_equal(clear, expected, equal_nan=True)


def test_ratio_and_gap_are_of_pairs_alone():
    sample = sample_of(PAIRS)
    found = evaluate_in_the_clear(build_suites(sample.scores), sample)
    attack, control = found["homoglyph"], found["control_homoglyph"]
    assert attack["recall_ratio_to_clear"].values == pytest.approx((2 / 2, 1 / 1))
    assert attack["recall_in_the_clear"].values == pytest.approx((1, 0.5))
    assert attack["recall_ratio_to_clear"].n == 2
    assert control["false_positive_gap_to_clear"].values == pytest.approx((0.5, 0.0))


def test_a_ratio_is_not_made_up_where_nothing_is_blocked_in_the_clear():
    sample = sample_of([row for row in PAIRS if row[0] != "a"])  # the second seed blocks nothing in the clear
    found = evaluate_in_the_clear(build_suites(sample.scores), sample)
    assert "homoglyph" not in found
    assert "control_homoglyph" in found


def test_other_policies_pair_their_own_threats():
    sample = sample_of(PAIRS, policy="injection")
    found = evaluate_in_the_clear(build_suites(sample.scores), sample)
    assert set(found) == {"control_homoglyph"}


def test_a_ratios_interval_holds_the_true_ratio(scores):
    """Disguised texts of the made-up scores are blocked less often; intervals are no points."""
    rows = {name: scores.rows[name] for name in ("parent_id", "family")}
    blocked = np.random.default_rng(0).random((2, len(scores.intent))) < np.where(
        scores.rows["transform"] == "none", 0.8, 0.6
    )
    decisions = Decisions(
        deep=blocked,
        probabilities=scores.fast,
        threat_score=blocked.astype(float),
        predicted=scores.fast.argmax(-1),
        blocked=blocked,
        temperature=np.ones(2),
        block_threshold=np.ones(2),
    )
    bootstrap = ParentBootstrap(rows["parent_id"], 200, seed=0)
    sample = Sample(np.arange(len(scores.intent)), scores, decisions, bootstrap, 5)
    found = evaluate_in_the_clear(build_suites(scores), sample)
    ratio = found["flipattack"]["recall_ratio_to_clear"]
    low, high = ratio.interval
    assert low < 0.6 / 0.8 < high
    assert low < ratio.mean < high


def test_languages_are_compared_with_english():
    found = evaluate_languages(sample_of(LANGUAGES))
    values = {name: (summary.values, summary.n) for name, summary in found.items()}
    assert values == {
        "recall": ((0.5, 0.5), 2),
        "english_recall": ((1.0, 0.5), 2),
        "recall_gap_to_english": ((-0.5, 0.0), 2),
        "false_positive_rate": ((1.0, 1.0), 1),
        "english_false_positive_rate": ((0.0, 0.0), 1),
        "false_positive_rate_gap_to_english": ((1.0, 1.0), 1),
    }


def test_languages_of_public_sources_are_not_compared():
    assert evaluate_languages(sample_of(LANGUAGES, source="deepset")) == {}
