"""The threshold decides on the branch, validation rows on all else; seeds must share their rows."""

from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest

from synthetic_scores import make_rows, make_scores
from tinyguardrail_paper.analysis.routing import ALWAYS_DEEP, ALWAYS_FAST, answers, collapsed_seeds, decide
from tinyguardrail_paper.analysis.scores import load_scores
from tinyguardrail_paper.scores.inputs import InputError


def test_a_score_at_the_threshold_takes_the_deep_branch(scores):
    router = np.full_like(scores.router, 0.5)
    router[:, ::3] = 0.49
    decisions = decide(replace(scores, router=router), 0.5, 0.05)
    assert np.array_equal(decisions.deep, router == 0.5)
    mixed = answers(scores, decisions.deep)
    assert np.array_equal(mixed[:, ::3], scores.fast[:, ::3])
    assert np.array_equal(mixed[:, 1::3], scores.deep[:, 1::3])


def test_extreme_thresholds_leave_one_branch(scores):
    assert not decide(scores, ALWAYS_FAST, 0.05).deep.any()
    assert decide(scores, ALWAYS_DEEP, 0.05).deep.all()


def test_decisions_depend_on_validation_rows_alone(scores):
    """Test intents may be anything: temperature and threshold stay what they are."""
    shuffled = scores.intent.copy()
    shuffled[scores.split("test")] = 0
    before, after = decide(scores, 0.5, 0.05), decide(replace(scores, intent=shuffled), 0.5, 0.05)
    assert np.array_equal(before.temperature, after.temperature)
    assert np.array_equal(before.block_threshold, after.block_threshold)


def test_a_router_that_sends_all_rows_one_way_has_collapsed(scores):
    assert collapsed_seeds(scores, decide(scores, 0.5, 0.05)) == {}
    one_way = replace(scores, router=np.stack([np.ones_like(scores.router[0]), scores.router[1]]))
    assert collapsed_seeds(one_way, decide(one_way, 0.5, 0.05)) == {0: 1.0}


def test_a_missing_score_file_is_named_with_its_stage(score_folder):
    with pytest.raises(InputError, match=r"seed7\.parquet is missing; run: dvc repro benchmark"):
        load_scores([0, 7], score_folder)


def test_seeds_scored_on_different_rows_are_refused(score_folder):
    other = make_rows(900, np.random.default_rng(9))
    pq.write_table(make_scores(other, 3), score_folder / "seed3.parquet")
    with pytest.raises(InputError, match=r"seed3\.parquet: column \w+ differs"):
        load_scores([0, 3], score_folder)
