"""Results by policy: whose threats count, whose threshold decides, and which rows are neither."""

import csv
import io
from dataclasses import replace

import numpy as np
import pytest

from tinyguardrail.data.labels import INTENTS
from tinyguardrail.runtime.policy import POLICIES
from tinyguardrail_common.statistics.significance import ParentBootstrap
from tinyguardrail_paper.analysis.policies import SYSTEMS, evaluate_policies
from tinyguardrail_paper.analysis.routing import decide
from tinyguardrail_paper.analysis.suites import build_suites

TARGET = 0.03
NARROW = ("injection", "jailbreak", "harm")


@pytest.mark.parametrize("name", list(POLICIES))
def test_a_policys_threats_and_benign_rows_are_judged_and_no_others(scores, name):
    view = scores.under(POLICIES[name])
    intents = scores.rows["intent"]
    assert set(intents[view.threat]) == set(POLICIES[name].intents)
    assert set(intents[view.judged]) == {"benign", *POLICIES[name].intents}
    for suite in build_suites(view):
        assert view.split("test")[suite.rows].all()
        assert np.array_equal(suite.threat, view.threat[suite.rows])


@pytest.mark.parametrize("name", list(POLICIES))
def test_a_threshold_keeps_its_rate_on_benign_validation_rows_and_is_not_slack(scores, name):
    view = scores.under(POLICIES[name])
    benign = (scores.rows["split"] == "validation") & (scores.rows["intent"] == "benign")
    rates = decide(view, 0.5, TARGET).blocked[:, benign].mean(axis=1)
    assert all(TARGET - 2 / benign.sum() <= rate <= TARGET for rate in rates)


def test_policies_share_a_temperature_and_the_verdict_on_the_intent(scores):
    found = [decide(scores.under(policy), 0.5, TARGET) for policy in POLICIES.values()]
    for each in found[1:]:
        assert np.array_equal(each.temperature, found[0].temperature)
        assert np.array_equal(each.predicted, found[0].predicted)


def test_a_decision_is_the_sum_of_the_policys_probabilities_against_its_threshold(scores):
    for policy in POLICIES.values():
        each = decide(scores.under(policy), 0.5, TARGET)
        wanted = sum(each.probabilities[..., INTENTS.index(intent)] for intent in policy.intents)
        assert np.allclose(each.threat_score, wanted)
        assert np.array_equal(each.blocked, each.threat_score >= each.block_threshold[:, None])


def test_threats_of_other_intents_change_nothing(scores):
    """Under `injection` it does not matter what is made of jailbreaks, beyond the one temperature."""
    view = scores.under(POLICIES["injection"])
    decisions = decide(view, 0.5, TARGET)
    other = decisions.blocked.copy()
    other[:, ~view.judged] ^= True
    bootstrap = ParentBootstrap(scores.rows["parent_id"], 50, seed=0)
    before, after = (
        evaluate_policies({"injection": (view, each)}, bootstrap, 10)["guard_injection"]
        for each in (decisions, replace(decisions, blocked=other))
    )
    assert before == after


# ---- the files of the stage `figures` --------------------------------------------------------


def test_every_suite_with_rows_is_measured_under_every_policy(metrics):
    for name in NARROW:
        system = metrics[SYSTEMS[name]]
        for test in ("hard_negatives", "control_flipattack"):
            assert (
                system[test]["false_positive_rate"]["n"] == metrics["guard"][test]["false_positive_rate"]["n"]
            )
        assert system["plain"]["recall"]["n"] == metrics["guard"][name]["recall"]["n"]
        assert {"recall", "false_positive_rate", "auc"} <= set(system["plain"])
        assert not {"accuracy", "macro_f1", "ece"} & set(system["plain"])  # of intents, whatever the policy
        assert not set(NARROW) - {name} & set(system)
    plain = [metrics[SYSTEMS[name]]["plain"]["recall"]["n"] for name in NARROW]
    assert sum(plain) == metrics["guard"]["plain"]["recall"]["n"]


def test_temperature_and_threshold_of_every_seed_and_policy_are_listed(scale):
    rows = list(csv.DictReader(io.StringIO(scale[2]["results/tables/all_seeds.csv"].decode())))
    for system in SYSTEMS.values():
        for metric in ("temperature", "block_threshold"):
            key = (system, "calibration", metric)
            own = [row["seed"] for row in rows if (row["system"], row["test"], row["metric"]) == key]
            assert own == ["0", "1", "2"]


def test_a_familys_rows_are_listed_with_what_each_policy_blocks(scale):
    rows = list(csv.DictReader(io.StringIO(scale[2]["results/tables/families.csv"].decode())))
    assert {f"blocked_{name}" for name in POLICIES} <= set(rows[0])
    injections = [row for row in rows if row["intent"] == "injection"]
    assert np.mean([float(row["blocked_injection"]) > float(row["blocked_harm"]) for row in injections]) == 1
