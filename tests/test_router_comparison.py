"""The learned router against other choices of as many rows, and what it sends where."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from synthetic_scores import INTENTS, write_scores
from tinyguardrail_common.statistics.significance import ParentBootstrap, draw_weights, placements
from tinyguardrail_paper.analysis.comparisons import adjusted
from tinyguardrail_paper.analysis.curves import router_scores
from tinyguardrail_paper.analysis.metrics.ranking import auc, auc_from_placements, weighted_auc
from tinyguardrail_paper.analysis.router import distribution
from tinyguardrail_paper.analysis.router_comparison import (
    compare_choices,
    early_exit,
    early_exit_equal_share,
    oracle,
    random_choices,
)
from tinyguardrail_paper.analysis.routing import decide, decide_routes
from tinyguardrail_paper.analysis.scores import load_scores
from tinyguardrail_paper.scores.inputs import InputError
from tinyguardrail_paper.settings.params import Statistics

TARGET = 0.05
STATISTICS = Statistics(alpha=0.05, bootstrap_samples=200, seed=7)
SPLITS = ("validation", "test")


@pytest.fixture(scope="module")
def scores(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scores")
    write_scores(folder, rows=700)
    return load_scores([0, 1], folder)


@pytest.fixture(scope="module")
def routed(scores):
    return decide(scores, 0.5, TARGET)


def right(scores, branch):
    return getattr(scores, branch).argmax(axis=-1) == scores.intent


def compare(scores):
    bootstrap = ParentBootstrap(scores.rows["parent_id"], STATISTICS.bootstrap_samples, 0)
    systems, records = compare_choices(scores, decide(scores, 0.5, TARGET), TARGET, bootstrap, STATISTICS)
    tests = {(each["method"], each["metric"], each["b"]): each for each in adjusted(records, 0.05)}
    return {name: found["equal_share"] for name, found in systems.items()}, tests


@pytest.fixture(scope="module")
def compared(scores):
    return compare(scores)


# ---- the choices -------------------------------------------------------------------------


def test_other_choices_send_as_many_rows_of_each_split_deep(scores, routed):
    choices = list(random_choices(scores, routed.deep, 3, seed=0))
    assert not np.array_equal(choices[0], choices[1])
    for chosen in (*choices, early_exit_equal_share(scores, routed.deep)):
        for split in SPLITS:
            own = scores.split(split)
            assert chosen[:, own].sum(axis=1).tolist() == routed.deep[:, own].sum(axis=1).tolist()


def test_early_exit_has_the_routers_share_on_validation_rows_and_one_limit_for_all(scores, routed):
    chosen, confidence = early_exit(scores, routed.deep), scores.fast.max(axis=-1)
    own = scores.split("validation")
    assert chosen[:, own].sum(axis=1).tolist() == routed.deep[:, own].sum(axis=1).tolist()
    for deep, stated in zip(chosen, confidence, strict=True):
        assert stated[deep].max() < stated[~deep].min()


def test_early_exit_does_not_look_at_test_rows_for_its_limit(scores, routed):
    fast = scores.fast.copy()
    fast[:, scores.split("test")] = [1, 0, 0, 0]
    own = scores.split("validation")
    before = early_exit(scores, routed.deep)
    after = early_exit(replace(scores, fast=fast), routed.deep)
    assert np.array_equal(before[:, own], after[:, own])
    assert not after[:, ~own].any()


def test_a_router_that_sends_nothing_deep_has_rivals_that_do_neither(scores):
    nothing = np.zeros_like(scores.router, dtype=bool)
    assert not early_exit(scores, nothing).any()
    assert not oracle(scores, nothing).any()


@pytest.mark.parametrize("threshold", [0.5, 0.95])
def test_the_oracle_gains_one_right_answer_for_every_row_it_may_send(scores, threshold):
    deep, test = scores.router >= threshold, scores.split("test")
    gained = right(scores, "deep") & ~right(scores, "fast")
    found = decide_routes(scores, oracle(scores, deep), TARGET).predicted == scores.intent
    for seed in range(2):
        budget = min(deep[seed, test].sum(), gained[seed, test].sum())
        expected = right(scores, "fast")[seed, test].sum() + budget
        assert found[seed, test].sum() == expected


# ---- the comparison ----------------------------------------------------------------------


def test_chance_is_right_as_often_as_its_share_of_each_branch(scores, routed, compared):
    test = scores.split("test")
    share = routed.deep[:, test].mean(axis=1)
    deep, fast = (right(scores, branch)[:, test].mean(axis=1) for branch in ("deep", "fast"))
    expected = np.mean(share * deep + (1 - share) * fast)
    assert compared[0]["guard_random"]["accuracy"].mean == pytest.approx(expected, abs=0.003)
    assert compared[0]["guard_random"]["deep_share"].mean == pytest.approx(share.mean())


def test_every_choice_is_calibrated_on_its_own_validation_rows(scores, routed, compared):
    chosen = early_exit(scores, routed.deep)
    raw = np.where(chosen[..., None], scores.deep, scores.fast)
    validation = scores.split("validation") & ~scores.threat
    test = scores.split("test") & ~scores.threat
    rates = []
    for each, temperature in zip(raw, decide_routes(scores, chosen, TARGET).temperature, strict=True):
        powers = each ** (1 / temperature)
        threat = 1 - powers[:, 0] / powers.sum(axis=1)
        benign = np.sort(threat[validation])
        limit = benign[int(np.ceil((len(benign) + 1) * (1 - TARGET))) - 1]
        rates.append(np.mean(threat[test] > limit))
    found = compared[0]["guard_early_exit"]["false_positive_rate"].mean
    assert found == pytest.approx(np.mean(rates), abs=1e-9)


@pytest.mark.parametrize("metric", ["accuracy", "macro_f1", "auc", "recall", "false_positive_rate"])
@pytest.mark.parametrize("other", ["random", "early_exit", "early_exit_equal_share", "oracle"])
def test_a_gap_is_the_learned_routers_value_less_the_others(compared, metric, other):
    systems, _ = compared
    gap = systems["guard"][f"{metric}_gap_to_{other}"]
    assert gap.mean == pytest.approx(systems["guard"][metric].mean - systems[f"guard_{other}"][metric].mean)
    assert gap.interval[0] <= gap.mean <= gap.interval[1]


@pytest.mark.parametrize("metric", ["accuracy", "auc"])
@pytest.mark.parametrize("other", ["random", "early_exit", "early_exit_equal_share"])
def test_what_is_tested_is_the_gap_that_is_reported(compared, metric, other):
    systems, tests = compared
    gap = systems["guard"][f"{metric}_gap_to_{other}"].mean
    tested = tests["randomisation", metric, f"guard_{other}"]["difference"]
    assert tested == pytest.approx(gap, abs=1e-9)


def test_a_router_that_knows_is_told_from_chance_and_one_that_guesses_is_not(scores, compared):
    """The made-up router scores know nothing of which branch is right."""
    key = ("randomisation", "accuracy", "guard_random")
    assert compared[1][key]["p_holm"] > 0.05
    gained = right(scores, "deep") & ~right(scores, "fast")
    systems, tests = compare(replace(scores, router=np.where(gained, 0.9, 0.1)))
    assert tests[key]["significant"]
    assert tests[key]["difference"] > 0.05
    assert systems["guard"]["accuracy_gap_to_random"].interval[0] > 0
    assert systems["guard"]["accuracy_gap_to_oracle"].mean == pytest.approx(0)


def test_the_oracle_is_no_rival(compared):
    assert {other for _, _, other in compared[1]} == {
        "guard_random",
        "guard_early_exit",
        "guard_early_exit_equal_share",
    }


def test_a_test_split_of_one_side_is_refused(scores):
    intent = np.where(scores.split("test"), 0, scores.intent)
    with pytest.raises(InputError, match=r"test\.parquet: untransformed rows are all threats or all benign"):
        compare(replace(scores, intent=intent))


# ---- averages of AUCs --------------------------------------------------------------------

labelled = st.lists(st.tuples(st.booleans(), st.integers(0, 8)), min_size=4, max_size=40).filter(
    lambda rows: len({threat for threat, _ in rows}) == 2
)


@given(labelled)
def test_a_placement_is_the_share_of_the_other_side_that_is_ranked_rightly(rows):
    threat, score = map(np.array, zip(*rows, strict=True))
    found = placements(threat, score)
    for own, value, placed in zip(threat, score, found, strict=True):
        others = score[threat != own]
        above = (value > others) if own else (value < others)
        assert placed == pytest.approx(np.mean(above + 0.5 * (value == others)))


def test_an_area_from_placements_varies_as_the_area_does():
    generator = np.random.default_rng(3)
    threat = generator.random(300) < 0.5
    score = generator.normal(size=300) + 1.2 * threat
    weights = draw_weights(300, 2000, seed=1)
    linear = auc_from_placements(threat, placements(threat, score), weights)
    assert np.std(linear) == pytest.approx(np.std(weighted_auc(threat, score, weights)), rel=0.05)
    unit = auc_from_placements(threat, placements(threat, score), np.ones((1, 300)))
    assert unit[0] == pytest.approx(auc(threat, score))


# ---- what goes where ---------------------------------------------------------------------


def test_the_distribution_counts_each_group_by_itself(scores, routed):
    log = {
        "epoch": [0.0, 0.0, 1.0],
        "validation_deep_share": [None, 0.2, 0.4],
        "validation_router_mean": [None, 0.45, 0.5],
    }
    other = log | {"validation_deep_share": [None, 0.3, 0.5]}
    found = {
        (each["group"], each["intent"], each["name"]): each
        for each in distribution(scores, routed, [log, other])
    }
    test, rows = scores.split("test"), scores.rows
    flipped = test & (rows["family"] == "flipattack") & (rows["intent"] == "benign")
    record = found["attack", "benign", "flipattack"]
    assert record["rows"] == flipped.sum()
    assert record["deep_share"] == pytest.approx((scores.router[:, flipped] >= 0.5).mean())
    medians = [np.median(each[flipped]) for each in scores.router]
    assert record["score_p50"] == pytest.approx(np.mean(medians))
    for group in ("intent", ("family", "attack")):
        own = [each["rows"] for (name, *_), each in found.items() if name in group]
        assert sum(own) == test.sum()
    everyday = test & (rows["family"] == "everyday")
    assert found["family", "benign", "everyday"]["rows"] == everyday.sum()
    assert found["epoch", None, "1"]["deep_share"] == pytest.approx(0.25)
    assert found["epoch", None, "2"]["deep_share"] == pytest.approx(0.45)


def test_router_scores_are_shares_of_each_intents_test_rows(scores):
    table = router_scores(scores)
    assert set(table) == {"router_score", *INTENTS}
    benign = scores.router[:, scores.split("test") & (scores.intent == 0)]
    for intent in INTENTS:
        assert sum(table[intent]) == pytest.approx(1)
    low = [
        value for centre, value in zip(table["router_score"], table["benign"], strict=True) if centre < 0.5
    ]
    assert sum(low) == pytest.approx(np.mean(benign < 0.5))
