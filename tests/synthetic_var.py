"""Made-up outputs of the VAR stages, in their formats."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from synthetic_scores import write_table
from tinyguardrail_common.files import write_json
from var_moe.reference.recipes import RECIPES

PRESET_FIGURES = {  # of the synthetic presets: change in nats per token, experts per call
    "conservative": (0.001, 1.7),
    "balanced": (0.003, 1.3),
    "aggressive": (0.006, 1.25),
}


def write_var(folder: Path, seed: int, generator: np.random.Generator, timings: bool) -> None:
    tokens = np.full(120, 255)
    baseline = tokens * generator.normal(4.1, 0.25, size=120)
    columns = {"group": np.arange(120), "tokens": tokens, "nll_baseline": baseline}
    presets = {}
    for preset, (nats, experts) in PRESET_FIGURES.items():
        record = {"learned_share": 0.11, "cached_share": 0.62, "fast_share": 0.27}
        record |= {"experts_per_call": experts, "skip_experts_per_call": experts + 0.02, "layers": []}
        for arm, prefix in (("var", ""), ("skip", "skip_")):
            changed = baseline + tokens * generator.normal(nats, 0.01, size=120)
            columns[f"nll_{arm}_{preset}"] = changed
            change = float(np.exp((changed - baseline).sum() / tokens.sum()) - 1)
            record[f"perplexity_{arm}"] = float(np.exp(changed.sum() / tokens.sum()))
            record[f"{prefix}perplexity_change"] = change
            record[f"{prefix}perplexity_change_ci95"] = [change - 0.002, change + 0.002]
        presets[preset] = record
    write_table(folder / f"data/scores/var/seed{seed}.parquet", pa.table(columns))
    report = {"corpus": "docstrings", "preset": "balanced", "seed": seed, "tokens": int(tokens.sum())}
    report |= {"groups": 120, "perplexity_baseline": float(np.exp(baseline.sum() / tokens.sum()))}
    report |= {"second_weight": 0.2, "second_weight_by_layer": [0.3, 0.1]}
    report |= presets["balanced"] | {"presets": presets}
    write_json(folder / f"results/var/seed{seed}.json", report)
    if timings:
        write_json(folder / f"results/latency/var_seed{seed}.json", _var_timing(seed))


def _var_timing(seed: int) -> dict[str, Any]:
    def against(factor: float) -> dict[str, Any]:
        both = {"vs_best_stock": factor, "vs_own_kernel": factor - 0.08}
        return {name: {"median": value, "ci95": [value - 0.03, value + 0.02]} for name, value in both.items()}

    names = ("stock_eager", "stock_grouped_mm", "own_kernel_var_off", "router_ratio_skip", "var")
    speeds = {name: [16000.0, 16100.0] for name in (*names, "var_conservative", "var_aggressive")}
    factors = {"var": 1.28 + 0.01 * seed, "router_ratio_skip": 1.27, "var_conservative": 1.1}
    factors |= {"var_aggressive": 1.4}
    workloads = {}
    for name in ("prefill_8x256_threads1", "decode_1_threads1"):
        first = name.startswith("prefill")
        shown = {arm: value for arm, value in factors.items() if first or not arm.startswith("var_")}
        workloads[name] = {
            "kind": "prefill" if first else "decode",
            "batch": 8 if first else 1,
            "threads": 1,
            "tokens_per_second": speeds,
            "best_stock": "stock_grouped_mm",
            "speedups": {arm: against(value) for arm, value in shown.items()},
        }
    return {"preset": "balanced", "headline": "prefill_8x256_threads1", "workloads": workloads}


def write_var_ablation(folder: Path, seed: int) -> None:
    """Recipe n costs n * 0.12% with VAR off, and VAR costs it 2% - n * 0.4%; groups differ a little."""
    generator = np.random.default_rng(seed)
    tokens = np.full(120, 255)
    plain = tokens * generator.normal(5.4, 0.25, size=120)
    for number, recipe in enumerate(RECIPES):
        before = plain + tokens * np.log1p(0.0012 * number)
        after = before + tokens * np.log1p(0.02 - 0.004 * number)
        columns = {"group": np.arange(120), "tokens": tokens, "nll_baseline": before}
        columns["nll_var_balanced"] = after + generator.normal(0, 0.1, size=120)
        name = f"seed{seed}/{recipe}"
        write_table(folder / f"data/scores/var_ablate/{name}.parquet", pa.table(columns))
        report = {"recipe": recipe, "preset": "balanced", "seed": seed, "second_weight": 0.3 - 0.05 * number}
        report |= {"perplexity_baseline": float(np.exp(before.sum() / tokens.sum()))}
        report |= {"learned_share": 0.1, "experts_per_call": 1.3}
        write_json(folder / f"results/var_ablate/{name}.json", report)


def write_var_search(folder: Path, timings: bool) -> None:
    """Three points of which two lie on the front."""
    trials = []
    for name, change, experts in (("balanced", 0.003, 1.3), ("trial_1", 0.001, 1.6), ("trial_2", 0.004, 1.7)):
        point = {"name": name, "learned_share": 0.1, "perplexity_change": change}
        trials.append(point | {"experts_per_call": experts, "cost": experts + 0.1})
    front = []
    for point in trials[:2]:
        change = point["perplexity_change"] + 0.0005
        test = {"perplexity_change": change, "perplexity_change_ci95": [change - 0.001, change + 0.001]}
        front.append(point | {"test": test})
    search = {"corpus": "docstrings", "seed": 0, "trials": trials, "front": front}
    write_json(folder / "results/var_search.json", search)
    if timings:
        timed = {name: {"vs_best_stock": {"median": 1.3, "ci95": None}} for name in ("balanced", "trial_1")}
        record = {"headline": "a", "workloads": {"a": {"speedups": timed}}}
        write_json(folder / "results/latency/var_search.json", record)
