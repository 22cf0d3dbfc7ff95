"""What evading the deep branch costs in detection, at thresholds fixed on validation rows.

Forcing a route means adding text, and added text may hide an attack from any branch. The
always-deep guard reads the same variants and is never evaded, so what it loses is the cost
of the text alone, and what the routed guard loses beyond that is the cost of the route.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinyguardrail.runtime.temperature import apply_temperature
from tinyguardrail_common.statistics.significance import ParentBootstrap
from tinyguardrail_paper.analysis.routing import ALWAYS_DEEP, Decisions, decide
from tinyguardrail_paper.analysis.row_means import mean_gap, row_mean
from tinyguardrail_paper.analysis.scores import Scores
from tinyguardrail_paper.analysis.summary import Summary, over_seeds
from tinyguardrail_paper.scores.inputs import InputError, read_seeds_json
from tinyguardrail_paper.scores.score_table import BRANCHES, EVASION, Columns, intent_probabilities
from tinyguardrail_paper.settings import paths

STAGE = EVASION.stage
MOMENTS = ("before", "after")


@dataclass(frozen=True)
class Attacks:
    """S seeds by M texts as they were sent before or after the search.

    Attributes:
        rows: indices of the texts into `Scores`, (M,).
        router: router scores, (S, M).
        fast, deep: class probabilities of the two branches, (S, M, 4).
    """

    rows: np.ndarray
    router: np.ndarray
    fast: np.ndarray
    deep: np.ndarray


def evaluate_evasion(
    scores: Scores, seeds: Sequence[int], target: float, bootstrap: ParentBootstrap
) -> dict[str, Summary]:
    """Deep share and recall before and after, for the routed guard and for the always-deep one.

    Rates are over all attacked texts, those that went fast from the start included. The
    routing threshold is the one searched against, stored with the model.
    """
    reports = read_seeds_json(paths.EVASION, seeds, STAGE)
    threshold = _threshold(reports)
    attacks = _read(scores, seeds)
    found = _routes(scores, attacks, threshold)
    found["queries"] = over_seeds(
        [report["queries"] for report in reports], reports[0]["texts"], seeds, "count"
    )
    changes, rows = {}, attacks["before"].rows
    for arm, limit in (("", threshold), ("always_deep_", ALWAYS_DEEP)):
        decisions = decide(scores, limit, target)
        blocked = {moment: _blocked(scores, decisions, each, limit) for moment, each in attacks.items()}
        for moment, hits in blocked.items():
            found[f"{arm}recall_{moment}"] = row_mean(scores, _placed(scores, rows, hits), rows)
        changes[arm] = _placed(scores, rows, blocked["after"].astype(float) - blocked["before"])
        found[f"{arm}recall_change"] = mean_gap(scores, changes[arm], rows, bootstrap)
    excess = changes[""] - changes["always_deep_"]
    return found | {"excess_recall_change": mean_gap(scores, excess, rows, bootstrap)}


def _threshold(reports: list[dict[str, Any]]) -> float:
    """The routing threshold that the search ran against."""
    thresholds = sorted({report["router_threshold"] for report in reports})
    if len(thresholds) > 1:
        raise InputError(
            f"{paths.EVASION}: seeds were searched at different values of router_threshold, {thresholds}; "
            f"run: dvc repro --force {STAGE}"
        )
    return thresholds[0]


def _routes(scores: Scores, attacks: dict[str, Attacks], threshold: float) -> dict[str, Summary]:
    """Deep shares, and of the texts that went deep the share that was taken to the fast branch."""
    rows = attacks["before"].rows
    before, after = (each.router >= threshold for each in attacks.values())
    found = {
        f"deep_share_{moment}": row_mean(scores, _placed(scores, rows, deep), rows)
        for moment, deep in (("before", before), ("after", after))
    }
    if before.any(axis=1).all():
        forced = (before & ~after).sum(axis=1) / before.sum(axis=1)
        found["forced_share"] = over_seeds(forced, int(before.sum(axis=1).min()), scores.seeds, "percent")
    return found


def _read(scores: Scores, seeds: Sequence[int]) -> dict[str, Attacks]:
    """By moment what every seed made of the texts."""
    files = EVASION.of_seeds(seeds)
    tables = [EVASION.read(file) for file in files]
    place = {row: index for index, row in enumerate(scores.rows["row"].tolist())}
    for file, table in zip(files, tables, strict=True):
        if not np.array_equal(table["row"], tables[0]["row"]):
            raise InputError(f"{file}: other texts than those of the first seed; run: dvc repro {STAGE}")
        for row, label in zip(table["row"].tolist(), table["label"], strict=True):
            if row not in place or scores.rows["label"][place[row]] != label:
                raise InputError(
                    f"{file}: row {row} is not a {label} of the scored rows; run: dvc repro {STAGE}"
                )
    return {moment: _attacks([_at(moment, table) for table in tables], place) for moment in MOMENTS}


def _at(moment: str, table: Columns) -> Columns:
    own = table["when"] == moment
    return {name: values[own] for name, values in table.items()}


def _attacks(tables: Sequence[Columns], place: dict[int, int]) -> Attacks:
    rows = np.array([place[row] for row in tables[0]["row"].tolist()])
    branches = (np.stack([intent_probabilities(table, branch) for table in tables]) for branch in BRANCHES)
    return Attacks(rows, np.stack([table["router_score"] for table in tables]), *branches)


def _blocked(scores: Scores, decisions: Decisions, attacks: Attacks, threshold: float) -> np.ndarray:
    """(S, M) bool: texts blocked with the calibration of `decisions`, routed at `threshold`."""
    raw = np.where((attacks.router >= threshold)[..., None], attacks.deep, attacks.fast)
    calibrated = [apply_temperature(p, t) for p, t in zip(raw, decisions.temperature, strict=True)]
    return scores.policy.score(np.stack(calibrated)) >= decisions.block_threshold[:, None]


def _placed(scores: Scores, rows: np.ndarray, values: np.ndarray) -> np.ndarray:
    """(S, M) values at their rows among all N, (S, N)."""
    placed = np.zeros((len(scores.seeds), len(scores.intent)))
    placed[:, rows] = values
    return placed
