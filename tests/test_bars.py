"""Bars: a verdict needs every condition, and the table says what was measured."""

from types import SimpleNamespace

import pytest

from tinyguardrail.evaluation.summary import over_texts
from tinyguardrail.reporting.bars import BARS, bars_table, verdict


def results_of(**metrics):
    """Results that hold `test__metric=(mean, low, high)`."""
    guard = {}
    for name, (mean, low, high) in metrics.items():
        test, metric = name.split("__")
        guard.setdefault(test, {})[metric] = over_texts([mean], (low, high), 100, [0])
    return SimpleNamespace(systems={"guard": guard})


def bar(start):
    return next(each for each in BARS if each.title.startswith(start))


@pytest.mark.parametrize(
    ("rate", "upper", "expected"),
    [(0.068, 0.0999, "met"), (0.069, 0.09, "not met"), (0.06, 0.10, "not met"), (0.0, 0.01, "met")],
)
def test_over_defence_is_judged_by_the_mean_and_by_the_upper_bound(rate, upper, expected):
    found = results_of(notinject__false_positive_rate=(rate, 0.0, upper))
    assert verdict(bar("NotInject: "), found) == expected


@pytest.mark.parametrize(
    ("recall", "control", "expected"),
    [(0.95, 0.10, "met"), (0.949, 0.0, "not met"), (1.0, 0.101, "not met")],
)
def test_detection_of_a_disguise_counts_only_beside_its_control(recall, control, expected):
    found = results_of(
        flipattack_fwo_advbench__recall=(recall, 0, 1),
        control_flipattack_fwo__false_positive_rate=(control, 0, 1),
    )
    assert verdict(bar("AdvBench, flip word order"), found) == expected


def test_a_bar_whose_control_was_not_measured_was_not_measured():
    found = results_of(bipia__recall=(0.99, 0.9, 1))
    assert verdict(bar("BIPIA"), found) == "not measured"


@pytest.mark.parametrize(
    ("share", "expected"), [(0.249, "not met"), (0.25, "met"), (0.35, "met"), (0.351, "not met")]
)
def test_the_share_sent_deep_has_two_sides(share, expected):
    assert verdict(bar("Router: share"), results_of(router__deep_share=(share, 0, 1))) == expected


def test_a_router_may_be_more_accurate_than_always_deep_but_not_half_a_point_less():
    for gap, expected in ((0.02, "met"), (-0.005, "met"), (-0.0051, "not met")):
        found = results_of(router__accuracy_gap_to_always_deep=(gap, -1, 1))
        assert verdict(bar("Router: accuracy"), found) == expected


def test_a_limit_on_what_stands_beside_is_written_beside_it():
    found = results_of(bipia__recall=(0.81, 0.7, 0.9), bipia_clean__false_positive_rate=(0.04, 0.01, 0.06))
    row = next(row for row in bars_table(found).rows if row[0].startswith("BIPIA"))
    assert row[1:5] == (
        "\u2265 80.0%",
        "81.0% [70.0%, 90.0%]",
        "100",
        "clean contexts (\u2264 5.0%): 4.0% [1.0%, 6.0%]",
    )
    assert row[6] == "met"


def test_an_operating_point_taken_from_test_rows_is_labelled():
    """The threshold of a bar comes from validation rows; only one row may say otherwise."""
    from_curve = [each.title for each in BARS if "tpr_at" in each.conditions[0].metric]
    assert from_curve == ["ToxicChat: recall at 3% false positives (ROC point, threshold from test rows)"]
    assert bar("ToxicChat: recall at the validation").conditions[0].metric == "recall"
