"""All results of one scale, computed in memory before anything is written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from tinyguardrail.data.records import NO_TRANSFORM
from tinyguardrail.evaluation import curves
from tinyguardrail.evaluation.ablation import evaluate_ablation
from tinyguardrail.evaluation.benchmarks import POOLED_JAILBREAKS
from tinyguardrail.evaluation.calibration_quality import evaluate_calibration
from tinyguardrail.evaluation.comparisons import adjusted, compare_branches
from tinyguardrail.evaluation.disguises import evaluate_disguises
from tinyguardrail.evaluation.efficiency import evaluate_int8, evaluate_latency, evaluate_size
from tinyguardrail.evaluation.evasion import evaluate_evasion
from tinyguardrail.evaluation.guard import (
    Metrics,
    confusion,
    evaluate_router,
    evaluate_suites,
    macro_recall,
)
from tinyguardrail.evaluation.inputs import read_training
from tinyguardrail.evaluation.leave_one_out import evaluate_leave_one_out
from tinyguardrail.evaluation.router_comparison import compare_choices
from tinyguardrail.evaluation.router_distribution import distribution
from tinyguardrail.evaluation.routing import ALWAYS_DEEP, ALWAYS_FAST, Decisions, collapsed_seeds, decide
from tinyguardrail.evaluation.scores import Scores, load_scores
from tinyguardrail.evaluation.significance import ParentBootstrap
from tinyguardrail.evaluation.suites import build_suites
from tinyguardrail.evaluation.var import evaluate_var
from tinyguardrail.evaluation.var_studies import read_ablation, read_search
from tinyguardrail.params import Params


@dataclass(frozen=True)
class Results:
    """Everything that reporting needs.

    Attributes:
        systems: system -> test -> metric -> summary.
        collapsed: seeds whose router collapsed, with their deep share on validation rows.
        significance: one record per comparison, metric and method.
        curves: tables behind the curves, by name.
        confusion: (4, 4) counts over seeds.
        var: preset, and per seed the perplexity change with its interval over sequences.
        hardware: the machine of the timings, None if there are none.
        families: label, family, rows and blocked share of untransformed test rows.
        router_distribution: one record per group of rows and per epoch.
    """

    systems: dict[str, Metrics]
    collapsed: dict[int, float]
    significance: list[dict[str, Any]]
    curves: dict[str, curves.Columns]
    confusion: np.ndarray
    var: dict[str, Any]
    hardware: dict[str, Any] | None
    families: list[dict[str, Any]]
    router_distribution: list[dict[str, Any]]

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
    target, statistics = params.calibration.target_false_positive_rate, params.statistics
    arms = {
        "guard": decide(scores, params.router.threshold, target),
        "guard_always_fast": decide(scores, ALWAYS_FAST, target),
        "guard_always_deep": decide(scores, ALWAYS_DEEP, target),
    }
    routed = arms["guard"]
    bootstrap = ParentBootstrap(scores.rows["parent_id"], statistics.bootstrap_samples, statistics.seed)
    systems = evaluate_guards(scores, arms, bootstrap, params)
    equal_share, tested_choices = compare_choices(scores, routed, target, bootstrap, statistics)
    for system, tests in equal_share.items():
        systems.setdefault(system, {}).update(tests)
    systems["leave_one_out"] = evaluate_leave_one_out(params)
    systems["ablation"] = evaluate_ablation(params)
    latency, hardware = evaluate_latency(params.seeds)
    if latency:
        systems["guard"]["latency"] = latency
    systems["var"], var = evaluate_var(params)
    var |= {"search": read_search(), "ablation": read_ablation(params)}
    return Results(
        systems=systems,
        collapsed=collapsed_seeds(scores, routed),
        significance=adjusted(compare_branches(scores, arms, statistics) + tested_choices, statistics.alpha),
        curves={
            "routing": curves.routing_sweep(scores, target),
            "router_scores": curves.router_scores(scores),
            "roc": curves.roc(scores, routed),
            "reliability": curves.reliability(scores, routed, params.calibration.bins),
        },
        confusion=confusion(scores, routed),
        var=var,
        hardware=hardware,
        families=blocked_by_family(scores, routed),
        router_distribution=distribution(scores, routed, training),
    )


def evaluate_guards(
    scores: Scores, arms: dict[str, Decisions], bootstrap: ParentBootstrap, params: Params
) -> dict[str, Metrics]:
    """Every suite for the routed guard and each branch alone, and what is measured of the first only."""
    routed, fast, deep = arms.values()
    target, bins = params.calibration.target_false_positive_rate, params.calibration.bins
    suites = build_suites(scores)
    systems = {name: evaluate_suites(scores, arm, suites, bootstrap, bins) for name, arm in arms.items()}
    for suite in (suite for suite in suites if suite.name == POOLED_JAILBREAKS):
        systems["guard"][suite.name]["macro_recall"] = macro_recall(scores, routed, suite.rows, bootstrap)
    systems["guard"] |= {
        "router": evaluate_router(scores, routed, fast, deep, bootstrap),
        "calibration": evaluate_calibration(scores, routed, bootstrap, bins),
        "disguises": evaluate_disguises(scores),
        "evasion": evaluate_evasion(scores, params.seeds, target, bootstrap),
        "size": evaluate_size(params.seeds),
        "int8_against_fp32": evaluate_int8(params.seeds),
    }
    return systems


def blocked_by_family(scores: Scores, decisions: Decisions) -> list[dict[str, Any]]:
    """Share of untransformed test rows blocked, by label and authored family."""
    plain = scores.split("test") & (scores.rows["transform"] == NO_TRANSFORM)
    keys = sorted({(scores.rows["label"][i], scores.rows["family"][i]) for i in np.flatnonzero(plain)})
    records = []
    for label, family in keys:
        own = plain & (scores.rows["label"] == label) & (scores.rows["family"] == family)
        share = float(decisions.blocked[:, own].mean())
        records.append({"label": str(label), "family": str(family), "rows": int(own.sum()), "blocked": share})
    return records
