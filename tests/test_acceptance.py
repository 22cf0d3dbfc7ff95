"""Acceptance criteria: each is met, not met or not measured, settled or not, and the tables say so."""

from dataclasses import replace

import pytest

from tinyguardrail_common.acceptance import Criterion, joint_verdict
from tinyguardrail_paper.analysis.evaluate import Results
from tinyguardrail_paper.analysis.policies import SYSTEMS
from tinyguardrail_paper.analysis.summary import over_seeds, over_texts
from tinyguardrail_paper.tables.acceptance import ACCEPTANCE, TARGETS, acceptance, judge


class Measured:
    """Results that hold summaries alone."""

    look_up = Results.look_up

    def __init__(self, systems):
        self.systems, self.var = systems, {"corpus": "docstrings"}


def results_of(**metrics):
    """Results that hold `test__metric=(mean, low, high)` under every policy."""
    guard = {}
    for name, (mean, low, high) in metrics.items():
        test, metric = name.split("__")
        guard.setdefault(test, {})[metric] = over_texts([mean], (low, high), 100, [0], "percent")
    return Measured(dict.fromkeys(SYSTEMS.values(), guard))


def requirement(start, policy=None):
    named = (each for each in ACCEPTANCE if each.title.startswith(start))
    return next(each for each in named if policy in (None, each.policy))


# ---- one criterion ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sign", "met"), [("<", (0.9,)), ("\u2264", (0.9, 1.0)), (">", (1.1,)), ("\u2265", (1.0, 1.1))]
)
def test_a_criterion_is_met_on_its_side_of_the_limit(sign, met):
    criterion = Criterion(sign, 1.0)
    for value in (0.9, 1.0, 1.1):
        assert criterion.verdict(value) == ("met" if value in met else "not met")
    assert criterion.verdict(None) == "not measured"


def test_an_upper_bound_is_judged_instead_of_the_mean_and_is_not_measured_without_an_interval():
    criterion = Criterion("<", 0.1, upper_bound=True)
    assert criterion.verdict(0.05, (0.01, 0.09)) == "met"
    assert criterion.verdict(0.05, (0.01, 0.11)) == "not met"
    assert criterion.verdict(0.05) == "not measured"


def test_a_criterion_is_settled_when_the_whole_interval_agrees():
    criterion = Criterion("<", 0.1)
    assert criterion.settled(0.05, (0.01, 0.09))
    assert criterion.settled(0.15, (0.11, 0.2))
    assert not criterion.settled(0.05, (0.01, 0.11))
    assert not criterion.settled(0.05, None)


def test_several_criteria_are_met_together_only_when_each_was_measured():
    assert joint_verdict(["met", "met"]) == "met"
    assert joint_verdict(["met", "not met"]) == "not met"
    assert joint_verdict(["not met", "not measured"]) == "not measured"


def test_a_limit_is_written_in_its_unit():
    assert Criterion("\u2264", 0.068).required == "\u2264 6.8%"
    assert Criterion("<", 20.0, "{:g} ms".format).required == "< 20 ms"


# ---- criteria of the public tests ------------------------------------------------------------


@pytest.mark.parametrize(
    ("rate", "upper", "expected"),
    [(0.05, 0.0799, "met"), (0.051, 0.06, "not met"), (0.04, 0.08, "not met"), (0.0, 0.01, "met")],
)
def test_over_defence_is_judged_by_the_mean_and_by_the_upper_bound(rate, upper, expected):
    found = results_of(notinject__false_positive_rate=(rate, 0.0, upper))
    assert requirement("NotInject: ", "injection").verdict(found) == expected


def test_one_test_has_a_bar_of_its_own_under_each_policy():
    def rate(mean):
        return {"false_positive_rate": over_texts([mean], (0.0, 0.2), 100, [0], "percent")}

    rates = {"guard_injection": 0.03, "guard_jailbreak": 0.07, "guard": 0.13}
    found = Measured({system: {"wildguard_benign": rate(mean)} for system, mean in rates.items()})
    verdicts = {
        policy: requirement("WildGuardTest", policy).verdict(found)
        for policy in ("injection", "jailbreak", "any")
    }
    assert verdicts == {"injection": "not met", "jailbreak": "met", "any": "met"}
    assert requirement("WildGuardTest", "any").key == "WildGuardTest, benign: false positives (any)"


@pytest.mark.parametrize(
    ("recall", "control", "expected"),
    [(0.95, 0.08, "met"), (0.949, 0.0, "not met"), (1.0, 0.081, "not met")],
)
def test_detection_of_an_attack_counts_only_beside_its_control(recall, control, expected):
    found = results_of(
        flipattack_fwo_advbench__recall=(recall, 0, 1),
        control_flipattack_fwo__false_positive_rate=(control, 0, 1),
    )
    assert requirement("AdvBench, flip word order").verdict(found) == expected


def test_a_requirement_whose_control_was_not_measured_was_not_measured():
    found = results_of(bipia__recall=(0.99, 0.9, 1))
    assert requirement("BIPIA").verdict(found) == "not measured"


@pytest.mark.parametrize(
    ("share", "expected"), [(0.249, "not met"), (0.25, "met"), (0.35, "met"), (0.351, "not met")]
)
def test_the_share_sent_deep_has_two_sides(share, expected):
    assert requirement("Router: share").verdict(results_of(router__deep_share=(share, 0, 1))) == expected


@pytest.mark.parametrize(
    ("ratio", "gap", "expected"),
    [(0.97, 0.02, "met"), (1.02, -0.1, "met"), (0.969, 0.0, "not met"), (1.0, 0.021, "not met")],
)
def test_a_disguise_may_neither_hide_threats_nor_make_them(ratio, gap, expected):
    found = results_of(
        homoglyph__recall_ratio_to_clear=(ratio, 0, 2),
        control_homoglyph__false_positive_gap_to_clear=(gap, -1, 1),
    )
    assert requirement("homoglyphs").verdict(found) == expected


@pytest.mark.parametrize(
    ("to_exit", "to_chance", "p", "expected"),
    [
        (0.0, 0.01, 0.009, "met"),
        (-0.001, 0.01, 0.009, "not met"),
        (0.0, 0.01, 0.01, "not met"),
        (0.0, -0.01, 0.001, "not met"),
        (0.0, 0.01, None, "not measured"),
    ],
)
def test_a_router_is_no_worse_than_early_exit_and_better_than_chance(to_exit, to_chance, p, expected):
    found = results_of(
        equal_share__accuracy_gap_to_early_exit_equal_share=(to_exit, -1, 1),
        equal_share__accuracy_gap_to_random=(to_chance, -1, 1),
    )
    gaps = found.systems["guard"]["equal_share"]
    gaps["accuracy_gap_to_random"] = replace(gaps["accuracy_gap_to_random"], extra={"p_holm": p})
    each = requirement("Router: accuracy less that of early exit")
    assert each.verdict(found) == expected
    assert each.required(beside=True) == "> +0.00 points, p < 0.01"


def test_a_limit_on_what_stands_beside_is_written_beside_it():
    found = results_of(bipia__recall=(0.89, 0.7, 0.9), bipia_clean__false_positive_rate=(0.04, 0.01, 0.06))
    row = next(row for row in acceptance.rows(found) if row[1].startswith("BIPIA"))
    assert row[0] == "injection"
    assert row[2:6] == (
        "\u2265 88.0%",
        "89.0% [70.0%, 90.0%]",
        "100",
        "clean (\u2264 5.0%): 4.0% [1.0%, 6.0%]",
    )
    assert row[7] == "met"


def test_an_operating_point_taken_from_test_rows_is_labelled():
    """The threshold of a criterion comes from validation rows; only one row may say otherwise."""
    from_curve = [each.title for each in ACCEPTANCE if "tpr_at" in each.path[2]]
    assert from_curve == ["ToxicChat: recall at 3% false positives (ROC point, threshold from test rows)"]
    assert requirement("deepset: recall at the validation").path[2] == "recall"


# ---- targets ---------------------------------------------------------------------------------


def judged(name, summary):
    target = TARGETS[name]
    system, test, metric = target.path
    test = "docstrings" if system == "var" else test  # that is the headline preset
    return judge(target, Measured({system: {test: {metric: summary}}}))


def test_a_target_is_met_only_on_its_side_of_the_limit():
    assert judged("flipattack", over_texts([0.81], (0.79, 0.83), 100, [0], "percent"))["verdict"] == "met"
    assert judged("flipattack", over_texts([0.80], (0.78, 0.82), 100, [0], "percent"))["verdict"] == "not met"
    assert (
        judged("hard_negatives", over_texts([0.1], (0.05, 0.2), 100, [0], "percent"))["verdict"] == "not met"
    )
    assert judged("throughput", over_seeds([1.2, 1.2], 5, [0, 1], "ratio"))["verdict"] == "met"


def test_a_verdict_says_when_its_interval_crosses_the_limit():
    assert judged("flipattack", over_texts([0.81], (0.79, 0.83), 100, [0], "percent"))["settled"] is False
    assert judged("flipattack", over_texts([0.91], (0.89, 0.93), 100, [0], "percent"))["settled"] is True


def test_perplexity_is_judged_by_the_larger_bound_of_seeds_and_documents():
    summary = over_seeds([0.001, 0.002], 100, [0, 1], "percent_change", ci95_documents=[0.0, 0.009])
    worse = over_seeds([0.001, 0.002], 100, [0, 1], "percent_change", ci95_documents=[0.0, 0.01])
    alone = over_seeds([0.001], 100, [0], "percent_change", ci95_documents=[0.0, 0.002])
    for found, expected in ((summary, "met"), (worse, "not met"), (alone, "not met")):
        within = replace(found, interval=(0.0, 0.005)) if found.interval else found
        assert judged("perplexity", within)["verdict"] == expected


def test_what_was_not_measured_is_not_met():
    assert judge(TARGETS["latency"], Measured({}))["verdict"] == "not measured"


def test_a_public_set_outranks_rows_of_our_own():
    own = over_texts([0.04], (0.02, 0.06), 100, [0], "percent")
    results = Measured({"guard": {"hard_negatives": {"false_positive_rate": own}}})
    target = TARGETS["hard_negatives"]
    assert judge(target, results)["verdict"] == "met"
    notinject = over_texts([0.16], (0.13, 0.2), 100, [0], "percent")
    results.systems["guard_injection"] = {"notinject": {"false_positive_rate": notinject}}
    results.systems["guard"]["notinject"] = {"false_positive_rate": replace(notinject, values=(0.2,))}
    row = judge(target, results)
    assert (row["verdict"], row["value"]) == ("not met", "16.0%")
    assert (row["beside_title"], row["beside_value"]) == ("policy any", "20.0%")
    assert "NotInject" in row["title"]
