"""Calibration before and after, on the rows it was fitted on and on others."""

from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest

from synthetic_scores import make_rows, make_scores
from tinyguardrail_common.statistics.significance import ParentBootstrap
from tinyguardrail_paper.analysis.calibration import evaluate_calibration
from tinyguardrail_paper.analysis.routing import decide
from tinyguardrail_paper.analysis.scores import load_scores

BINS = 10


@pytest.fixture(scope="module")
def scores(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scores")
    pq.write_table(make_scores(make_rows(900, np.random.default_rng(0)), 0), folder / "seed0.parquet")
    return load_scores([0], folder)


def evaluate(scores):
    decisions = decide(scores, 0.5, 0.05)
    bootstrap = ParentBootstrap(scores.rows["parent_id"], 100, 0)
    return decisions, evaluate_calibration(scores, decisions, bootstrap, BINS)


def calibration_error(probabilities, intent):
    """Guo et al. 2017, equation 3, bin by bin."""
    confidence, correct = probabilities.max(axis=1), probabilities.argmax(axis=1) == intent
    total = 0.0
    for low in np.arange(BINS) / BINS:
        own = (confidence >= low) & (confidence < low + 1 / BINS + (low == 1 - 1 / BINS))
        if own.any():
            total += own.mean() * abs(confidence[own].mean() - correct[own].mean())
    return total


@pytest.mark.parametrize("split", ["validation", "test"])
def test_the_raw_error_is_that_of_the_branch_that_answers(scores, split):
    decisions, found = evaluate(scores)
    rows = scores.split(split)
    raw = np.where(decisions.deep[0][:, None], scores.deep[0], scores.fast[0])
    expected = calibration_error(raw[rows], scores.intent[rows])
    assert found[f"{split}_raw_ece"].mean == pytest.approx(expected)
    assert found[f"{split}_raw_ece"].n == rows.sum()
    calibrated = calibration_error(decisions.probabilities[0][rows], scores.intent[rows])
    assert found[f"{split}_ece"].mean == pytest.approx(calibrated)


def test_a_sharpened_model_is_repaired_by_its_temperature(scores):
    sharp = {}
    for branch in ("fast", "deep"):
        powers = getattr(scores, branch) ** 4
        sharp[branch] = powers / powers.sum(axis=-1, keepdims=True)
    _, found = evaluate(replace(scores, **sharp))
    for split in ("validation", "test"):
        assert found[f"{split}_ece"].mean < 0.7 * found[f"{split}_raw_ece"].mean


def test_false_positives_of_plain_and_obfuscated_text_are_counted_apart(scores):
    decisions, found = evaluate(scores)
    benign = scores.split("test") & (scores.intent == 0)
    plain = scores.rows["transform"] == "none"
    for name, rows in (("plain_", benign & plain), ("obfuscated_", benign & ~plain), ("", benign)):
        rate = found[f"test_{name}false_positive_rate"]
        assert rate.n == rows.sum()
        assert rate.mean == pytest.approx(decisions.blocked[0, rows].mean())
    assert found["validation_false_positive_rate"].mean <= 0.05
