"""The search over VAR's settings and the ablation of its training: read, and checked for what is needed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from tinyguardrail import paths
from tinyguardrail.evaluation.inputs import InputError, require
from tinyguardrail.evaluation.non_inferiority import perplexity_change
from tinyguardrail.evaluation.significance import draw_weights, percentile_interval
from tinyguardrail.files import read_json
from tinyguardrail.params import Params
from var_moe.recipes import PLAIN, RECIPES

STAGE = "var_ablate"
ABLATED = ("perplexity_baseline", "second_weight", "learned_share", "experts_per_call")
VALIDITY_BAR = 0.003  # of perplexity with VAR off


def read_search() -> dict[str, Any]:
    """`trials` and `front` of `var_search`, and `speedups` of the front's points where they were timed."""
    report = read_json(require(paths.VAR_SEARCH, "var_search"))
    if not report["front"]:
        raise InputError(f"{paths.VAR_SEARCH}: the front is empty; run: dvc repro --force var_search")
    file, names = paths.LATENCY / "var_search.json", {point["name"] for point in report["front"]}
    timing = read_json(file) if file.is_file() else None
    speedups = timing["workloads"][timing["headline"]]["speedups"] if timing else {}
    return report | {"speedups": speedups if names <= set(speedups) else {}}


def read_ablation(params: Params) -> dict[str, dict[str, Any]]:
    """Recipe -> mean over seeds of each number, and changes in perplexity with intervals over documents.

    `off_against_plain` compares models with VAR off, `perplexity_change` one model with itself.
    `router_stays_valid`: in every seed, perplexity with VAR off is at most `VALIDITY_BAR` above that of
    the plainly trained model.
    """
    seeds = params.var.ablate.seeds
    plain = [_scores(seed, PLAIN) for seed in seeds]
    found = {}
    for recipe in RECIPES:
        files = [paths.VAR_ABLATE / paths.seed_name(seed) / f"{recipe}.json" for seed in seeds]
        reports = [read_json(require(file, STAGE)) for file in files]
        own = [_scores(seed, recipe) for seed in seeds]
        record = {name: _mean([report[name] for report in reports]) for name in ABLATED}
        off = [(a.tokens, a.baseline, b.baseline) for a, b in zip(plain, own, strict=True)]
        changes, record["off_against_plain_ci95"] = _changes(off, params.statistics)
        record["off_against_plain"] = _mean(changes)
        record["router_stays_valid"] = all(change <= VALIDITY_BAR for change in changes)
        on = [(each.tokens, each.baseline, each.var) for each in own]
        changes, record["perplexity_change_ci95"] = _changes(on, params.statistics)
        record["perplexity_change"] = _mean(changes)
        found[recipe] = record
    return found


@dataclass(frozen=True)
class _Scores:
    """Of each group of test documents: predicted tokens, and summed nats with VAR off and on."""

    tokens: np.ndarray
    baseline: np.ndarray
    var: np.ndarray


def _scores(seed: int, recipe: str) -> _Scores:
    file = paths.RECIPE_SCORES / paths.seed_name(seed) / f"{recipe}.parquet"
    table = pq.read_table(require(file, STAGE))
    return _Scores(
        *(table.column(name).to_numpy() for name in ("tokens", "nll_baseline", "nll_var_balanced"))
    )


def _changes(
    pairs: Sequence[tuple[np.ndarray, np.ndarray, np.ndarray]], statistics: Any
) -> tuple[list[float], list[float]]:
    """Change of each seed, and the interval of their mean; `pairs` are tokens, nats before and after."""
    weights = draw_weights(len(pairs[0][0]), statistics.bootstrap_samples, statistics.seed)
    changes = [float(perplexity_change(*pair)[0]) for pair in pairs]
    resampled = np.stack([perplexity_change(*pair, weights) for pair in pairs])
    return changes, list(percentile_interval(resampled.mean(axis=0)))


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
