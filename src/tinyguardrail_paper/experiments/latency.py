"""Latency of the guard, text by text from the string to the verdict, and throughput of VAR.

Timings differ from run to run, so they are apart from everything else: in results/latency/, which the
frozen stage `latency` writes.
"""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tinyguardrail.data.records import read_records
from tinyguardrail.data.sampling import evenly_spaced_sample
from tinyguardrail.runtime.guard import ALWAYS_DEEP, ALWAYS_FAST, Guard
from tinyguardrail_common.files import read_json, write_json
from tinyguardrail_common.machine import cores, processor
from tinyguardrail_common.progress import progress
from tinyguardrail_paper.settings.params import Params
from tinyguardrail_paper.settings.paths import MOE, ONNX, RAW, SPLITS, VAR_SEARCH, seed_name
from var_moe.evaluation.latency import time_front, time_var
from var_moe.evaluation.quality import build_wrappers
from var_moe.evaluation.search import front_configs
from var_moe.evaluation.text import evaluation_text
from var_moe.mixture.loading import load_tokenizer
from var_moe.reference.model import load_model
from var_moe.routing.config import PRESETS, get_config
from var_moe.routing.statistics import collect_statistics


def time_guards(params: Params, folder: Path) -> None:
    """Write how long every seed's INT8 guard takes for single test texts, evenly spread."""
    settings = params.latency
    texts = [row.text for row in evenly_spaced_sample(read_records(SPLITS / "test.parquet"), settings.rows)]
    for seed in params.seeds:
        guard = Guard.load(ONNX / seed_name(seed), "int8", settings.threads)
        timing = {
            "seed": seed,
            "precision": "int8",
            "threads": settings.threads,
            "rows": len(texts),
            "tokens_p50": float(np.median(guard.score_branches(texts).tokens)),
            "hardware": {"cpu": processor(), "cores": cores()},
            "arms": measure_latency(guard, texts, settings.warmup),
        }
        write_json(folder / f"guard_{seed_name(seed)}.json", timing)


def time_reference_models(params: Params, folder: Path) -> None:
    """Write VAR's throughput on every seed's model, and that of the search's front on the model searched."""
    var = params.var
    for seed in var.seeds:
        model = load_model(MOE / seed_name(seed))
        text = evaluation_text(var, RAW, load_tokenizer(MOE / seed_name(seed)))
        statistics = collect_statistics(model, text.statistics, var.eval.batch_size)
        wrappers = build_wrappers(model, statistics, text.thresholds, map(get_config, PRESETS))
        write_json(folder / f"var_{seed_name(seed)}.json", time_var(wrappers, text, var))
        if seed == var.search.model_seed:
            configs = front_configs(read_json(VAR_SEARCH))
            points = build_wrappers(model, statistics, text.thresholds, configs)
            write_json(folder / "var_search.json", time_front(points, text, var))


def measure_latency(guard: Guard, texts: Sequence[str], warmup: int) -> dict[str, Any]:
    """Time each text under three routings, one after the other so that drift hits all alike.

    Returns:
        Per arm (routed, always_fast, always_deep): p50, p95, p99 and mean in milliseconds.
    """
    arms = {"routed": guard.router_threshold, "always_fast": ALWAYS_FAST, "always_deep": ALWAYS_DEEP}
    for text in texts[:warmup]:
        for threshold in arms.values():
            guard.score([text], router_threshold=threshold)
    times: dict[str, list[float]] = {name: [] for name in arms}
    for text in progress(texts, "latency"):
        for name, threshold in arms.items():
            start = time.perf_counter()
            guard.score([text], router_threshold=threshold)
            times[name].append((time.perf_counter() - start) * 1e3)
    return {name: _summary(found) for name, found in times.items()}


def _summary(times_ms: Sequence[float]) -> dict[str, float]:
    levels = {f"p{level}_ms": float(np.percentile(times_ms, level)) for level in (50, 95, 99)}
    return {name: round(value, 3) for name, value in {**levels, "mean_ms": float(np.mean(times_ms))}.items()}


def beside(committed: Path, measured: Path) -> str:
    """What two folders of timings say of the same file, one line a figure: committed, measured, ratio."""
    lines = [f"{'':44} {'committed':>12} {'here':>12} {'ratio':>8}"]
    for file in sorted(measured.glob("*.json")):
        here = _figures(read_json(file))
        there = _figures(read_json(committed / file.name)) if (committed / file.name).is_file() else {}
        for name in here:
            old, new = there.get(name), here[name]
            compared = f"{old:12.2f} {new:12.2f} {new / old:8.2f}" if old else f"{'':12} {new:12.2f}"
            lines.append(f"{file.stem + ' ' + name:44} {compared}")
    return "\n".join(lines)


def _figures(timing: dict[str, Any]) -> dict[str, float]:
    """Milliseconds of the guard by arm, or VAR's speed-up over the best stock kernel by workload."""
    if "arms" in timing:
        quantiles = ("p50_ms", "p95_ms")
        return {f"{arm} {name}": found[name] for arm, found in timing["arms"].items() for name in quantiles}
    return {
        f"{workload} {arm}": speedup["vs_best_stock"]["median"]
        for workload, found in timing["workloads"].items()
        for arm, speedup in found["speedups"].items()
    }
