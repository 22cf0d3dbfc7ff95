"""All results of one scale, computed in memory before anything is written."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.metrics import confusion_matrix

from tinyguardrail.data.labels import INTENTS
from tinyguardrail.runtime.policy import ANY
from tinyguardrail_common.statistics.significance import ParentBootstrap
from tinyguardrail_paper.analysis import curves
from tinyguardrail_paper.analysis.ablation import evaluate_ablation
from tinyguardrail_paper.analysis.baselines import baseline_sizes, read_baselines
from tinyguardrail_paper.analysis.calibration import evaluate_calibration
from tinyguardrail_paper.analysis.comparisons import adjusted, compare_branches
from tinyguardrail_paper.analysis.efficiency import evaluate_int8, evaluate_latency, evaluate_size
from tinyguardrail_paper.analysis.evasion import evaluate_evasion
from tinyguardrail_paper.analysis.leave_one_out import evaluate_leave_one_out
from tinyguardrail_paper.analysis.metrics.metric import Sample
from tinyguardrail_paper.analysis.obfuscation import evaluate_obfuscation
from tinyguardrail_paper.analysis.peers import read_measured_peers
from tinyguardrail_paper.analysis.policies import Views, decide_by_policy, evaluate_policies, evaluate_routed
from tinyguardrail_paper.analysis.rivals import evaluate_rivals
from tinyguardrail_paper.analysis.router import distribution, evaluate_router
from tinyguardrail_paper.analysis.router_comparison import attach_p_values, compare_choices
from tinyguardrail_paper.analysis.routing import ALWAYS_DEEP, ALWAYS_FAST, Decisions, collapsed_seeds, decide
from tinyguardrail_paper.analysis.scores import Scores, load_scores
from tinyguardrail_paper.analysis.suites import Metrics, build_suites, evaluate_suites
from tinyguardrail_paper.analysis.suites.obfuscation import GROUP as ATTACKS
from tinyguardrail_paper.analysis.suites.suite import Suite, untransformed
from tinyguardrail_paper.analysis.summary import Summary
from tinyguardrail_paper.analysis.var import HEADLINE_PRESET, evaluate_var, read_ablation, read_search
from tinyguardrail_paper.scores.inputs import read_training
from tinyguardrail_paper.settings.params import Params

Path = tuple[str, str, str]  # system, test, metric


@dataclass(frozen=True)
class Results:
    """Everything that reporting needs.

    Attributes:
        systems: system -> test -> metric -> summary.
        suites: the tests of guards that are named rows of the test split.
        held_out_families: of the tests of the system `leave_one_out`.
        collapsed: seeds whose router collapsed, with their deep share on validation rows.
        significance: one record per comparison, metric and method.
        curves: tables behind the curves, by name.
        confusion: (4, 4) counts over seeds.
        var: presets and workloads, and per seed the perplexity change with its interval over sequences.
        hardware: the machine of the timings, None if there are none.
        families: intent, family, rows and share blocked by each policy of untransformed test rows.
        router_distribution: one record per group of rows and per epoch.
    """

    systems: dict[str, Metrics]
    suites: list[Suite]
    held_out_families: list[str]
    collapsed: dict[int, float]
    significance: list[dict[str, Any]]
    curves: dict[str, curves.Columns]
    confusion: np.ndarray
    var: dict[str, Any]
    hardware: dict[str, Any] | None
    families: list[dict[str, Any]]
    router_distribution: list[dict[str, Any]]

    def look_up(self, path: Path) -> Summary | None:
        """None where it was not measured; the test `HEADLINE_PRESET` is that of VAR's corpus."""
        system, test, metric = path
        test = self.var["corpus"] if test == HEADLINE_PRESET else test
        return self.systems.get(system, {}).get(test, {}).get(metric)

    def attacks(self) -> list[Suite]:
        """Suites of attacks that were measured beside their matched controls, families before variants."""
        guard = self.systems["guard"]
        return [
            each
            for each in self.suites
            if each.group == ATTACKS and each.control in guard and "recall" in guard[each.name]
        ]

    def control(self, attack: Suite) -> Summary:
        """False-positive rate of the matched controls."""
        return self.systems["guard"][attack.control]["false_positive_rate"]

    def metrics_json(self) -> dict[str, Any]:
        """The content of `results/metrics.json`."""
        content: dict[str, Any] = {
            system: {
                test: {name: summary.as_json() for name, summary in found.items()}
                for test, found in tests.items()
            }
            for system, tests in self.systems.items()
        }
        content["guard"]["router"]["collapsed"] = bool(self.collapsed)
        return content


def evaluate(params: Params) -> Results:
    """Read every seed's inputs and compute all results.

    Raises:
        InputError: an input is missing or inconsistent.
    """
    scores, training = load_scores(params.seeds), read_training(params.seeds)
    target, statistics = params.policies.target(ANY), params.statistics
    views = decide_by_policy(scores, params)
    routed = views[ANY][1]
    arms = {
        "guard": routed,
        "guard_always_fast": decide(scores, ALWAYS_FAST, target),
        "guard_always_deep": decide(scores, ALWAYS_DEEP, target),
    }
    bootstrap = ParentBootstrap(scores.rows["parent_id"], statistics.bootstrap_samples, statistics.seed)
    suites = build_suites(scores)
    systems = evaluate_guards(scores, arms, suites, bootstrap, params)
    systems |= evaluate_policies(views, bootstrap, params.calibration.bins)
    equal_share, tested_choices = compare_choices(scores, routed, target, bootstrap, statistics)
    for system, tests in equal_share.items():
        systems.setdefault(system, {}).update(tests)
    significance = adjusted(compare_branches(scores, arms, statistics) + tested_choices, statistics.alpha)
    attach_p_values(systems["guard"], significance)
    rivals = [*read_baselines(scores, params), *read_measured_peers(scores, params.peers.names)]
    systems |= evaluate_rivals(rivals, views, params)
    for system, found in baseline_sizes(params.baselines.names, params.seeds).items():
        systems[system] |= found
    systems["leave_one_out"], held_out_families = evaluate_leave_one_out(params)
    systems["ablation"] = evaluate_ablation(params)
    latency, hardware = evaluate_latency(params.seeds)
    if latency:
        systems["guard"]["latency"] = latency
    systems["var"], var = evaluate_var(params)
    var |= {"search": read_search(), "ablation": read_ablation(params)}
    return Results(
        systems=systems,
        suites=suites,
        held_out_families=held_out_families,
        collapsed=collapsed_seeds(scores, routed),
        significance=significance,
        curves={
            "routing": curves.routing_sweep(scores, target),
            "router_scores": curves.router_scores(scores),
            "roc": curves.roc(scores, routed),
            "policies": curves.by_policy(views),
            "reliability": curves.reliability(scores, routed, params.calibration.bins),
        },
        confusion=confusion(scores, routed),
        var=var,
        hardware=hardware,
        families=blocked_by_family(views),
        router_distribution=distribution(scores, routed, training),
    )


def evaluate_guards(
    scores: Scores,
    arms: dict[str, Decisions],
    suites: list[Suite],
    bootstrap: ParentBootstrap,
    params: Params,
) -> dict[str, Metrics]:
    """Every suite for the routed guard and each branch alone, and what is measured of the first only."""
    routed, fast, deep = arms.values()
    target, bins = params.policies.target(ANY), params.calibration.bins
    guard = evaluate_routed(suites, scores, routed, bootstrap, bins) | {
        "router": evaluate_router(scores, routed, fast, deep, bootstrap),
        "calibration": evaluate_calibration(scores, routed, bootstrap, bins),
        "obfuscation": evaluate_obfuscation(scores),
        "evasion": evaluate_evasion(scores, params.seeds, target, bootstrap),
        "size": evaluate_size(params.seeds),
        "int8_against_fp32": evaluate_int8(params.seeds),
    }
    alone = {
        name: evaluate_suites(suites, lambda suite, arm=arm: Sample(suite.rows, scores, arm, bootstrap, bins))
        for name, arm in arms.items()
        if arm is not routed
    }
    return {"guard": guard} | alone


def confusion(scores: Scores, decisions: Decisions) -> np.ndarray:
    """(4, 4) counts over all test rows, summed over seeds; true class by row, predicted by column."""
    test, intents = scores.split("test"), np.arange(len(INTENTS))
    return sum(
        confusion_matrix(scores.intent[test], predicted[test], labels=intents)
        for predicted in decisions.predicted
    )


def blocked_by_family(views: Views) -> list[dict[str, Any]]:
    """Share of untransformed test rows that each policy blocks, by intent and family."""
    scores, _ = views[ANY]
    plain = scores.split("test") & untransformed(scores)
    keys = sorted({(scores.rows["intent"][i], scores.rows["family"][i]) for i in np.flatnonzero(plain)})
    records = []
    for intent, family in keys:
        own = plain & (scores.rows["intent"] == intent) & (scores.rows["family"] == family)
        shares = {f"blocked_{name}": float(each.blocked[:, own].mean()) for name, (_, each) in views.items()}
        records.append({"intent": str(intent), "family": str(family), "rows": int(own.sum()), **shares})
    return records
