"""VAR on the reference mixture of experts: perplexity change, routes and throughput, by preset.

Perplexities are exp(nats per token) over one test text read by every arm. The change is
relative: 0.01 means 1% worse than the same model with its router untouched. Documents of one
group (a module, an article) are resampled together.
"""

import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from tinyguardrail_common.files import read_json
from tinyguardrail_common.statistics.non_inferiority import p_over_seeds, p_over_texts, perplexity_change
from tinyguardrail_common.statistics.significance import draw_weights, percentile_interval, t_interval
from tinyguardrail_paper.analysis.suites import Metrics
from tinyguardrail_paper.analysis.summary import Format, Summary, over_seeds, rounded
from tinyguardrail_paper.scores.inputs import InputError, require
from tinyguardrail_paper.settings import paths
from tinyguardrail_paper.settings.params import Params, Statistics
from var_moe.evaluation.compare import read_results
from var_moe.params import PLAIN

FORMATS: dict[str, Format] = {
    "perplexity_var": "perplexity",
    "perplexity_skip": "perplexity",
    "skip_experts_per_call": "factor",
    "learned_share": "percent",
    "cached_share": "percent",
    "fast_share": "percent",
    "experts_per_call": "factor",
}
ARMS = {"var": "", "skip": "skip_"}  # arm -> prefix of its metrics
TOLERANCE = 1e-3  # between a report's own perplexity change and the one from its documents
AGAINST = ("vs_best_stock", "vs_own_kernel")
TIMED_ARMS = {"var": "", "router_ratio_skip": "skip_"}  # arm -> prefix of its metrics
ABLATED = ("perplexity_baseline", "second_weight", "learned_share", "experts_per_call")
VALIDITY_LIMIT = 0.003  # of perplexity with VAR off
HEADLINE_PRESET = "headline preset"  # in a path: the test of the headline preset, which has its corpus's name


def evaluate_var(params: Params) -> tuple[Metrics, dict[str, Any]]:
    """Test -> metric -> summary, and what tables and figures need besides.

    Tests are the corpus, which is the headline preset, `preset_<name>` of every preset, and every
    workload that was timed.
    `perplexity_change` carries `ci95_documents` (bootstrap over groups of test documents, mean over
    seeds), the p-values of the one-sided test of non-inferiority over documents and over seeds, and
    `non_inferior`: both upper 95% bounds lie below the margin.
    """
    seeds = params.var.seeds
    files = [require(paths.VAR / f"{paths.seed_name(seed)}.json", "var_eval") for seed in seeds]
    reports, timings = read_results(files)
    corpus, headline = reports[0]["corpus"], reports[0]["preset"]
    workloads, speeds = speed_tests(timings, seeds, headline) if timings else ({}, {})
    presets, detail = {}, {}
    for preset in reports[0]["presets"]:
        quality, resampled = _quality(preset, seeds, reports, params.var.margin, params.statistics)
        presets[preset] = quality | speeds.get(preset, {})
        detail[preset] = [percentile_interval(each) for each in resampled]
    tests = {corpus: presets[headline]}
    tests |= {f"preset_{preset}": found for preset, found in presets.items()}
    return tests | workloads, {
        "corpus": corpus,
        "preset": headline,
        "presets": presets,
        "workloads": workloads,
        "change": list(presets[headline]["perplexity_change"].values),
        "interval": detail[headline],
        "reports": reports,
        "timings": timings,
    }


def _quality(
    preset: str, seeds: Sequence[int], reports: list[dict[str, Any]], margin: float, settings: Statistics
) -> tuple[dict[str, Summary], np.ndarray]:
    """Metrics of one preset that need no clock, and VAR's resampled changes, (S, B)."""
    own, tokens = [report["presets"][preset] for report in reports], reports[0]["tokens"]
    found = {
        name: over_seeds([each[name] for each in reports], tokens, seeds, written)
        for name, written in (("perplexity_baseline", "perplexity"), ("second_weight", "percent"))
    }
    for name, written in FORMATS.items():
        found[name] = over_seeds([each[name] for each in own], tokens, seeds, written)
    resampled = {}
    for arm, prefix in ARMS.items():
        changes, resampled[arm] = _changes(arm, preset, seeds, own, settings)
        extra = non_inferiority(changes, resampled[arm], margin)
        found[f"{prefix}perplexity_change"] = over_seeds(changes, tokens, seeds, "percent_change", **extra)
    return found, resampled["var"]


def non_inferiority(changes: Sequence[float], resampled: np.ndarray, margin: float) -> dict[str, Any]:
    """The interval over documents, and both tests at the margin; `resampled` is (S, B)."""
    documents, over = percentile_interval(resampled.mean(axis=0)), t_interval(changes)
    bounds = [documents[1], over[1] if over else None]
    return {
        "ci95_documents": [rounded(bound) for bound in documents],
        "non_inferiority_margin": margin,
        "p_documents": rounded(p_over_texts(resampled.mean(axis=0), margin)),
        "p_seeds": rounded(p_over_seeds(changes, margin)),
        "non_inferior": all(bound is not None and bound < margin for bound in bounds),
    }


def _changes(
    arm: str, preset: str, seeds: Sequence[int], own: list[dict[str, Any]], settings: Statistics
) -> tuple[list[float], np.ndarray]:
    """Perplexity change of each seed, (S,), and over bootstrap samples, (S, B)."""
    columns = []
    for seed, report in zip(seeds, own, strict=True):
        file = paths.SCORES / "var" / f"{paths.seed_name(seed)}.parquet"
        columns.append(_columns(file, f"nll_{arm}_{preset}", "var_eval"))
        change, expected = float(perplexity_change(*columns[-1])[0]), report[f"{ARMS[arm]}perplexity_change"]
        if abs(change - expected) > TOLERANCE:
            raise InputError(
                f"{file}: perplexity change {change:.5f} differs from {expected:.5f} "
                f"in {paths.VAR / paths.seed_name(seed)}.json; run: dvc repro --force var_eval"
            )
    return _resampled(columns, settings)


def _columns(file: Path, other: str, stage: str) -> list[np.ndarray]:
    """Of each group of test documents: predicted tokens, and summed nats with VAR off and as in `other`."""
    table = pq.read_table(require(file, stage))
    names = ("tokens", "nll_baseline", other)
    if missing := set(names) - set(table.column_names):
        raise InputError(f"{file}: no column {min(missing)}; run: dvc repro --force {stage}")
    return [table.column(name).to_numpy() for name in names]


def _resampled(
    columns: Sequence[Sequence[np.ndarray]], settings: Statistics
) -> tuple[list[float], np.ndarray]:
    """Change of each seed, (S,), and over bootstrap samples, (S, B); of tokens, nats before and after."""
    changes = [float(perplexity_change(*each)[0]) for each in columns]
    weights = {
        n: draw_weights(n, settings.bootstrap_samples, settings.seed)
        for n in {len(tokens) for tokens, *_ in columns}
    }
    return changes, np.stack([perplexity_change(*each, weights[len(each[0])]) for each in columns])


def speed_tests(
    timings: list[dict[str, Any]], seeds: Sequence[int], headline: str
) -> tuple[Metrics, Metrics]:
    """Metrics of every workload, and of every preset on the headline workload."""
    workloads, first = {}, timings[0]["headline"]
    for name in timings[0]["workloads"]:
        own = [timing["workloads"][name] for timing in timings]
        timed = {
            "tokens_per_second": [each["tokens_per_second"]["var"] for each in own],
            "best_stock_tokens_per_second": [each["tokens_per_second"][each["best_stock"]] for each in own],
        }
        found = {
            metric: over_seeds([statistics.median(each) for each in speeds], len(speeds[0]), seeds, "count")
            for metric, speeds in timed.items()
        }
        for arm, prefix in TIMED_ARMS.items():
            found |= _speedups(own, arm, prefix, seeds)
        workloads[name] = found
    own = [timing["workloads"][first] for timing in timings]
    presets = {headline: {}}
    for arm, prefix in TIMED_ARMS.items():
        presets[headline] |= _speedups(own, arm, prefix, seeds)
    for arm in own[0]["speedups"]:
        if arm not in TIMED_ARMS:
            presets[arm.removeprefix("var_")] = _speedups(own, arm, "", seeds)
    return workloads, presets


def _speedups(own: list[dict[str, Any]], arm: str, prefix: str, seeds: Sequence[int]) -> dict[str, Summary]:
    """Speed-ups with `ci95_repeats`: the mean of the seeds' intervals over interleaved repeats."""
    repeats, found = len(own[0]["tokens_per_second"][arm]), {}
    for against in AGAINST:
        each = [workload["speedups"][arm][against] for workload in own]
        bounds = [one["ci95"] for one in each]
        over = None
        if all(bounds):
            over = [rounded(sum(side) / len(side)) for side in zip(*bounds, strict=True)]
        values = [one["median"] for one in each]
        found[f"{prefix}speedup_{against}"] = over_seeds(values, repeats, seeds, "ratio", ci95_repeats=over)
    return found


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
    `router_stays_valid`: in every seed, perplexity with VAR off is at most `VALIDITY_LIMIT` above that of
    the plainly trained model.
    """
    seeds = params.var.ablate.seeds
    plain, found = [_recipe_columns(seed, PLAIN) for seed in seeds], {}
    for recipe in params.var.ablate.recipes:
        files = [paths.VAR_ABLATE / paths.seed_name(seed) / f"{recipe}.json" for seed in seeds]
        reports = [read_json(require(file, "var_ablate")) for file in files]
        own = [_recipe_columns(seed, recipe) for seed in seeds]
        record = {name: _mean([report[name] for report in reports]) for name in ABLATED}
        off = [(tokens, before, after) for (tokens, before, _), (_, after, _) in zip(plain, own, strict=True)]
        for name, columns in (("off_against_plain", off), ("perplexity_change", own)):
            changes, resampled = _resampled(columns, params.statistics)
            record[name] = _mean(changes)
            record[f"{name}_ci95"] = list(percentile_interval(resampled.mean(axis=0)))
            if columns is off:
                record["router_stays_valid"] = all(change <= VALIDITY_LIMIT for change in changes)
        found[recipe] = record
    return found


def _recipe_columns(seed: int, recipe: str) -> list[np.ndarray]:
    file = paths.RECIPE_SCORES / paths.seed_name(seed) / f"{recipe}.parquet"
    return _columns(file, "nll_var_balanced", "var_ablate")


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
