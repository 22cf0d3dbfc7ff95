"""A target is met, not met or not measured, and settled or not."""

from types import SimpleNamespace

from tinyguardrail.evaluation.summary import over_seeds, over_texts
from tinyguardrail.reporting.targets import TARGETS, judge


def target_named(name):
    return next(target for target in TARGETS if target.name == name)


class OneMetric:
    """Results that hold a single summary, wherever it is looked up."""

    def __init__(self, path, summary):
        self.systems = {path[0]: {path[1]: {path[2]: summary}}}


def verdict(name, summary):
    target = target_named(name)
    return judge(target, OneMetric(target.metric, summary))


def test_a_target_is_met_only_on_its_side_of_the_limit():
    assert verdict("flipattack", over_texts([0.81], (0.79, 0.83), 100, [0]))["verdict"] == "met"
    assert verdict("flipattack", over_texts([0.80], (0.78, 0.82), 100, [0]))["verdict"] == "not met"
    assert verdict("hard_negatives", over_texts([0.1], (0.05, 0.2), 100, [0]))["verdict"] == "not met"
    assert verdict("throughput", over_seeds([1.2, 1.2], 5, [0, 1]))["verdict"] == "met"


def test_a_verdict_says_when_its_interval_crosses_the_limit():
    assert verdict("flipattack", over_texts([0.81], (0.79, 0.83), 100, [0]))["settled"] is False
    assert verdict("flipattack", over_texts([0.91], (0.89, 0.93), 100, [0]))["settled"] is True


def test_what_was_not_measured_is_not_met():
    target = target_named("latency")
    assert judge(target, OneMetric(("guard", "x", "y"), None))["verdict"] == "not measured"


def test_a_public_set_outranks_rows_of_our_own():
    own = over_texts([0.04], (0.02, 0.06), 100, [0])
    results = SimpleNamespace(systems={"guard": {"trigger_words": {"false_positive_rate": own}}})
    target = target_named("hard_negatives")
    assert judge(target, results)["verdict"] == "met"
    notinject = over_texts([0.16], (0.13, 0.2), 100, [0])
    results.systems["guard"]["notinject"] = {"false_positive_rate": notinject}
    row = judge(target, results)
    assert (row["verdict"], row["value"]) == ("not met", "16.0%")
    assert "NotInject" in row["title"]
