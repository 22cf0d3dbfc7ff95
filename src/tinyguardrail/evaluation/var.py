"""VAR on the reference mixture of experts: perplexity change, routes and throughput.

Perplexities are exp(nats per token) over one test set read by both arms. The change is
relative: 0.01 means 1% worse than the same model with its router untouched.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from tinyguardrail import paths
from tinyguardrail.evaluation.inputs import InputError, read_seeds_json, read_timings, require
from tinyguardrail.evaluation.significance import draw_weights, percentile_interval, t_interval
from tinyguardrail.evaluation.summary import Summary, over_seeds, rounded

NON_INFERIORITY_MARGIN = 0.01  # of perplexity, fixed before any result was seen
SHARES = ("learned_share", "cached_share", "fast_share", "experts_per_call")
SPEEDUPS = ("speedup_vs_best_stock", "speedup_vs_own_kernel")
TOLERANCE = 1e-3  # between a report's own perplexity change and the one from its sequences


def perplexity_change(
    tokens: np.ndarray, nll_baseline: np.ndarray, nll_var: np.ndarray, weights: np.ndarray | None = None
) -> np.ndarray:
    """exp(sum(nll_var - nll_baseline) / sum(tokens)) - 1, as a fraction.

    Args:
        tokens, nll_baseline, nll_var: predicted tokens and summed nats per sequence, (n,).
        weights: bootstrap counts, (B, n); without them the plain value, shape (1,).
    """
    weights = np.ones((1, len(tokens))) if weights is None else weights
    return np.exp(weights @ (nll_var - nll_baseline) / (weights @ tokens)) - 1


def evaluate_var(
    seeds: Sequence[int], samples: int, bootstrap_seed: int
) -> tuple[str, dict[str, Summary], dict[str, Any]]:
    """Corpus name, metric -> summary, and the per-seed change with its sequence interval.

    `perplexity_change` carries `ci95_sequences` (bootstrap over test sequences, mean over
    seeds) and `non_inferior`: both upper bounds lie below the margin.
    """
    reports = read_seeds_json(paths.VAR, seeds, "var_eval")
    corpus, tokens = reports[0]["corpus"], reports[0]["tokens"]
    for seed, report in zip(seeds, reports, strict=True):
        if (report["corpus"], report["preset"]) != (corpus, reports[0]["preset"]):
            raise InputError(
                f"{paths.VAR / paths.seed_name(seed)}.json: other corpus or preset than the first seed"
            )
    found = {
        name: over_seeds([each[name] for each in reports], tokens, seeds)
        for name in ("perplexity_baseline", "perplexity_var", *SHARES)
    }
    changes, resampled = _changes(seeds, reports, samples, bootstrap_seed)
    sequences = percentile_interval(resampled.mean(axis=0))
    bounds = [interval[1] if interval else None for interval in (t_interval(changes), sequences)]
    found["perplexity_change"] = over_seeds(
        changes,
        tokens,
        seeds,
        ci95_sequences=[rounded(bound) for bound in sequences],
        non_inferiority_margin=NON_INFERIORITY_MARGIN,
        non_inferior=all(bound is not None and bound < NON_INFERIORITY_MARGIN for bound in bounds),
    )
    timings = read_timings("var", seeds)
    for name in SPEEDUPS if timings else ():
        found[name] = over_seeds([each[name] for each in timings], len(timings[0]["arms"]["var"]), seeds)
    detail = {
        "preset": reports[0]["preset"],
        "change": list(changes),
        "interval": [percentile_interval(each) for each in resampled],
    }
    return corpus, found, detail


def _changes(
    seeds: Sequence[int], reports: list[dict[str, Any]], samples: int, bootstrap_seed: int
) -> tuple[list[float], np.ndarray]:
    """Perplexity change of each seed, (S,), and over bootstrap samples, (S, B)."""
    changes, resampled, weights = [], [], None
    for seed, report in zip(seeds, reports, strict=True):
        file = require(paths.SCORES / "var" / f"{paths.seed_name(seed)}.parquet", "var_eval")
        table = pq.read_table(file)
        columns = [table.column(name).to_numpy() for name in ("tokens", "nll_baseline", "nll_var")]
        if weights is None or weights.shape[1] != len(columns[0]):
            weights = draw_weights(len(columns[0]), samples, bootstrap_seed)
        change = float(perplexity_change(*columns)[0])
        if abs(change - report["perplexity_change"]) > TOLERANCE:
            raise InputError(
                f"{file}: perplexity change {change:.5f} differs from {report['perplexity_change']:.5f} "
                f"in {paths.VAR / paths.seed_name(seed)}.json; run: dvc repro --force var_eval"
            )
        changes.append(change)
        resampled.append(perplexity_change(*columns, weights))
    return changes, np.stack(resampled)
