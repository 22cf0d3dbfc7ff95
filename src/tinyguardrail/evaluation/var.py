"""VAR on the reference mixture of experts: perplexity change, routes and throughput, by preset.

Perplexities are exp(nats per token) over one test text read by every arm. The change is
relative: 0.01 means 1% worse than the same model with its router untouched. Documents of one
group (a module, an article) are resampled together.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from tinyguardrail import paths
from tinyguardrail.evaluation.inputs import InputError, read_seeds_json, require
from tinyguardrail.evaluation.non_inferiority import p_over_seeds, p_over_texts, perplexity_change
from tinyguardrail.evaluation.significance import draw_weights, percentile_interval, t_interval
from tinyguardrail.evaluation.summary import Summary, over_seeds, rounded
from tinyguardrail.evaluation.var_speed import read_var_timings, speed_tests
from tinyguardrail.params import Params

SHARES = ("learned_share", "cached_share", "fast_share", "experts_per_call")
ARMS = {"var": "", "skip": "skip_"}  # arm -> prefix of its metrics
TOLERANCE = 1e-3  # between a report's own perplexity change and the one from its documents

Metrics = dict[str, Summary]


def evaluate_var(params: Params) -> tuple[dict[str, Metrics], dict[str, Any]]:
    """Test -> metric -> summary, and what tables and figures need besides.

    The first test bears the corpus's name and is of the headline preset; then come every
    preset, and every workload that was timed. `perplexity_change` carries `ci95_documents`
    (bootstrap over groups of test documents, mean over seeds), the p-values of the one-sided
    test of non-inferiority over documents and over seeds, and `non_inferior`: both upper 95%
    bounds lie below the margin.
    """
    seeds, statistics = params.var.seeds, params.statistics
    reports = read_seeds_json(paths.VAR, seeds, "var_eval")
    corpus, headline = reports[0]["corpus"], reports[0]["preset"]
    for seed, report in zip(seeds, reports, strict=True):
        if (report["corpus"], report["preset"]) != (corpus, headline):
            raise InputError(
                f"{paths.VAR / paths.seed_name(seed)}.json: other corpus or preset than the first seed"
            )
    timings = read_var_timings(seeds, headline)
    presets, detail = {}, {}
    for preset in reports[0]["presets"]:
        quality, resampled = _quality(preset, seeds, reports, params.var.margin, statistics)
        speeds = speed_tests(timings, seeds, headline)[1].get(preset, {}) if timings else {}
        presets[preset] = quality | speeds
        detail[preset] = [percentile_interval(each) for each in resampled]
    tests = {corpus: presets[headline]}
    tests |= {f"preset_{preset}": found for preset, found in presets.items()}
    tests |= speed_tests(timings, seeds, headline)[0] if timings else {}
    return tests, {
        "corpus": corpus,
        "preset": headline,
        "change": list(presets[headline]["perplexity_change"].values),
        "interval": detail[headline],
        "reports": reports,
        "timings": timings,
    }


def _quality(
    preset: str, seeds: Sequence[int], reports: list[dict[str, Any]], margin: float, statistics: Any
) -> tuple[Metrics, np.ndarray]:
    """Metrics of one preset that need no clock, and VAR's resampled changes, (S, B)."""
    own, tokens = [report["presets"][preset] for report in reports], reports[0]["tokens"]
    found = {
        "perplexity_baseline": over_seeds([each["perplexity_baseline"] for each in reports], tokens, seeds)
    }
    found["second_weight"] = over_seeds([each["second_weight"] for each in reports], tokens, seeds)
    for name in ("perplexity_var", "perplexity_skip", "skip_experts_per_call", *SHARES):
        found[name] = over_seeds([each[name] for each in own], tokens, seeds)
    resampled = {}
    for arm, prefix in ARMS.items():
        changes, resampled[arm] = _changes(arm, preset, seeds, own, statistics)
        extra = non_inferiority(changes, resampled[arm], margin)
        found[f"{prefix}perplexity_change"] = over_seeds(changes, tokens, seeds, **extra)
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
    arm: str, preset: str, seeds: Sequence[int], own: list[dict[str, Any]], statistics: Any
) -> tuple[list[float], np.ndarray]:
    """Perplexity change of each seed, (S,), and over bootstrap samples, (S, B)."""
    changes, resampled, weights = [], [], None
    for seed, report in zip(seeds, own, strict=True):
        file = require(paths.SCORES / "var" / f"{paths.seed_name(seed)}.parquet", "var_eval")
        table = pq.read_table(file)
        names = ("tokens", "nll_baseline", f"nll_{arm}_{preset}")
        if missing := set(names) - set(table.column_names):
            raise InputError(f"{file}: no column {min(missing)}; run: dvc repro --force var_eval")
        columns = [table.column(name).to_numpy() for name in names]
        if weights is None or weights.shape[1] != len(columns[0]):
            weights = draw_weights(len(columns[0]), statistics.bootstrap_samples, statistics.seed)
        change, expected = float(perplexity_change(*columns)[0]), report[f"{ARMS[arm]}perplexity_change"]
        if abs(change - expected) > TOLERANCE:
            raise InputError(
                f"{file}: perplexity change {change:.5f} differs from {expected:.5f} "
                f"in {paths.VAR / paths.seed_name(seed)}.json; run: dvc repro --force var_eval"
            )
        changes.append(change)
        resampled.append(perplexity_change(*columns, weights))
    return changes, np.stack(resampled)
