"""The routed guard under each policy, as systems of `results/metrics.json`.

Everything about routing, training and evasion is analysed under `any`, whose system is `guard`. Each other
policy is measured on the same suites, of which it judges its own threats and the benign rows.
"""

import numpy as np

from tinyguardrail.runtime.policy import ANY, POLICIES
from tinyguardrail_common.statistics.significance import ParentBootstrap
from tinyguardrail_paper.analysis.calibration import evaluate_threshold
from tinyguardrail_paper.analysis.in_the_clear import evaluate_in_the_clear
from tinyguardrail_paper.analysis.languages import TEST as LANGUAGES
from tinyguardrail_paper.analysis.languages import evaluate_languages
from tinyguardrail_paper.analysis.metrics.metric import Sample
from tinyguardrail_paper.analysis.routing import Decisions, decide
from tinyguardrail_paper.analysis.scores import Scores
from tinyguardrail_paper.analysis.suites import Metrics, build_suites, evaluate_suites
from tinyguardrail_paper.analysis.suites.suite import Suite
from tinyguardrail_paper.settings.params import Params


def system_name(guard: str, policy: str) -> str:
    """Of a guard under a policy: in `results/metrics.json` its own name stands for `any`."""
    return guard if policy == ANY else f"{guard}_{policy}"


SYSTEMS = {name: system_name("guard", name) for name in POLICIES}  # by policy

Views = dict[str, tuple[Scores, Decisions]]  # by policy


def decide_by_policy(scores: Scores, params: Params) -> Views:
    """The scores under each policy, and what the routed guard then decides."""
    found = {}
    for name, policy in POLICIES.items():
        view = scores.under(policy)
        found[name] = view, decide(view, params.router.threshold, params.policies.target(name))
    return found


def evaluate_policies(views: Views, bootstrap: ParentBootstrap, bins: int) -> dict[str, Metrics]:
    """Systems of the policies but `any`: every suite that has rows for them, and the threshold."""
    systems = {}
    for name, (view, decisions) in views.items():
        if name != ANY:
            systems[SYSTEMS[name]] = evaluate_policy(view, decisions, bootstrap, bins)
    return systems


def evaluate_policy(scores: Scores, decisions: Decisions, bootstrap: ParentBootstrap, bins: int) -> Metrics:
    """Every suite that has rows for the policy of the scores, and its threshold."""
    tests = evaluate_routed(build_suites(scores), scores, decisions, bootstrap, bins)
    return tests | {"calibration": evaluate_threshold(scores, decisions)}


def evaluate_routed(
    suites: list[Suite], scores: Scores, decisions: Decisions, bootstrap: ParentBootstrap, bins: int
) -> Metrics:
    """What is measured of the routed guard under whatever policy: suites, disguises and languages."""

    def sample(suite: Suite) -> Sample:
        return Sample(suite.rows, scores, decisions, bootstrap, bins)

    every = Sample(np.arange(len(scores.intent)), scores, decisions, bootstrap, bins)
    tests = evaluate_suites(suites, sample)
    for name, found in evaluate_in_the_clear(suites, every).items():
        tests.setdefault(name, {}).update(found)
    languages = evaluate_languages(every)
    return tests | ({LANGUAGES: languages} if languages else {})
