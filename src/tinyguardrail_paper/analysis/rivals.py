"""Other guards beside ours: on the same suites, and at the false-positive rate that each of them has."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from tinyguardrail.runtime.policy import ANY, POLICIES
from tinyguardrail_common.statistics.significance import ParentBootstrap
from tinyguardrail_paper.analysis.intervals import bootstrap_interval
from tinyguardrail_paper.analysis.metrics.ranking import tpr_at_fpr, weighted_tpr_at_fpr
from tinyguardrail_paper.analysis.policies import Views, evaluate_policy, evaluate_routed, system_name
from tinyguardrail_paper.analysis.routing import Decisions
from tinyguardrail_paper.analysis.row_means import row_mean, weighted_mean
from tinyguardrail_paper.analysis.scores import Scores
from tinyguardrail_paper.analysis.suites import Metrics, build_suites
from tinyguardrail_paper.analysis.summary import Summary, over_texts
from tinyguardrail_paper.settings.params import Params

EQUAL = "rivals"  # the system of what is measured at equal false positives; its tests are the rivals
BASELINE, PEER = "baseline_", "peer_"  # what the systems of rivals begin with
ROUNDING = 1e-6  # of rates in single precision


class Rival(NamedTuple):
    """Another guard on rows that ours was scored on.

    Attributes:
        name: its system in `results/metrics.json`.
        places: of its rows among the guard's, (n,).
        views: its scores and decisions on them, by policy.
        calibrated: whether its thresholds were fixed on validation rows here.
    """

    name: str
    places: np.ndarray
    views: Views
    calibrated: bool


def is_narrower_rival(system: str) -> bool:
    """Whether a system of `results/metrics.json` is a rival under another policy than `any`."""
    ends = tuple(f"_{policy}" for policy in POLICIES if policy != ANY)
    return system.startswith((BASELINE, PEER)) and system.endswith(ends)


def evaluate_rivals(rivals: Sequence[Rival], guard: Views, params: Params) -> dict[str, Metrics]:
    """The systems of every rival under every policy, and `EQUAL` under every policy."""
    systems: dict[str, Metrics] = {}
    for rival in rivals:
        statistics, bins = params.statistics, params.calibration.bins
        for policy, (scores, decisions) in rival.views.items():
            parents = scores.rows["parent_id"]
            bootstrap = ParentBootstrap(parents, statistics.bootstrap_samples, statistics.seed)
            if rival.calibrated:
                tests = evaluate_policy(scores, decisions, bootstrap, bins)
            else:
                tests = evaluate_routed(build_suites(scores), scores, decisions, bootstrap, bins)
            systems[system_name(rival.name, policy)] = tests
            own_scores, own = (each.take(rival.places) for each in guard[policy])
            found = at_equal_false_positives(scores, decisions, own_scores, own, bootstrap)
            systems.setdefault(system_name(EQUAL, policy), {})[rival.name] = found
    return systems


def at_equal_false_positives(
    scores: Scores, rival: Decisions, guard_scores: Scores, guard: Decisions, bootstrap: ParentBootstrap
) -> dict[str, Summary]:
    """A rival on all test rows that the policy judges, and the guard where it blocks as much benign text.

    Benign rows are the union of those of all suites, threats that of all attacks. `false_positive_rate`
    and `recall` are the rival's at its own threshold; `guard_recall` the guard's at the threshold that
    gives it the rival's false-positive rate on these very rows; `recall_gap` the latter less the former.
    In each draw of parents the rate is set anew. Seeds are paired where the rival has the guard's.

    Args:
        scores, guard_scores: the same rows under the same policy.
    """
    rows = np.flatnonzero(scores.split("test"))
    threat, weights = scores.threat[rows], bootstrap.weights(rows)
    if not 0 < threat.sum() < len(rows):
        return {}
    seeds = guard_scores.seeds
    hits = np.broadcast_to(rival.blocked[:, rows], (len(seeds), len(rows))).astype(float)
    drawn = []  # guard's recall and rival's, (B,) each, by seed
    for blocked, score in zip(hits, guard.threat_score[:, rows], strict=True):
        rate = weighted_mean(blocked[~threat], weights[:, ~threat])
        own = weighted_tpr_at_fpr(threat, score, weights, rate[:, None] + ROUNDING)
        drawn.append((own, weighted_mean(blocked[threat], weights[:, threat])))
    own, others = np.mean(drawn, axis=0)
    pairs = zip(hits, guard.threat_score[:, rows], strict=True)
    recall = np.array([tpr_at_fpr(threat, score, blocked[~threat].mean()) for blocked, score in pairs])
    gap, count = recall - hits[:, threat].mean(axis=1), int(threat.sum())
    interval = bootstrap_interval(own, recall, fraction=True)
    return {
        "false_positive_rate": row_mean(scores, rival.blocked, rows[~threat]),
        "recall": row_mean(scores, rival.blocked, rows[threat]),
        "guard_recall": over_texts(recall, interval, count, seeds, "percent"),
        "recall_gap": over_texts(gap, bootstrap_interval(own - others, gap), count, seeds, "points"),
    }
