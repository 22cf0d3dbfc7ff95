"""What `var_eval` writes: quality and shares (deterministic), losses by group of documents, timings."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import torch

from tinyguardrail.compute import ENVIRONMENT
from tinyguardrail.evaluation.non_inferiority import change_with_interval
from tinyguardrail.files import atomic_file
from var_moe.evaluation import Losses, PresetQuality
from var_moe.perplexity import perplexity

# Of the intervals that go with a single model. They are no settings, because changing one would
# measure, or train, every model again; reports over seeds have intervals by `statistics`.
BOOTSTRAP_SAMPLES, BOOTSTRAP_SEED = 2000, 7
SHARES = ("learned_share", "cached_share", "fast_share", "experts_per_call")


def quality_report(
    baseline: Losses, presets: dict[str, PresetQuality], headline: str, second: list[float]
) -> dict[str, Any]:
    """The content of `results/var/seed*.json`: the headline preset's fields, then every preset's.

    Args:
        second: weight of the stock router's second expert, by layer; see `second_weights`.
    """
    tokens = int(baseline.tokens.sum())
    found = {name: preset_record(baseline, quality) for name, quality in presets.items()}
    return {
        "tokens": tokens,
        "groups": len(baseline.groups),
        "perplexity_baseline": perplexity(baseline.nll, tokens),
        "second_weight": sum(second) / len(second),
        "second_weight_by_layer": second,
        **found[headline],
        "presets": found,
    }


def preset_record(baseline: Losses, quality: PresetQuality) -> dict[str, Any]:
    """Perplexities with their change and its 95% interval, shares of calls, and the table's identity."""
    record = _arm("var", "", baseline, quality.var)
    if quality.skip is not None:
        record |= _arm("skip", "skip_", baseline, quality.skip)
        record["skip_experts_per_call"] = quality.skip_experts_per_call
    table = quality.wrapper.table
    return {
        **record,
        **{share: quality.stats[share] for share in SHARES},
        "layers": quality.stats["layers"],
        "table_sha256": table.sha256(),
        "thresholds": {
            "confidence": float(table.confidence_threshold),
            "second_to_first_weight": [float(ratio) for ratio in table.ratio_thresholds],
        },
    }


def _arm(name: str, prefix: str, baseline: Losses, losses: Losses) -> dict[str, Any]:
    change, interval = change_between(baseline, losses)
    return {
        f"perplexity_{name}": perplexity(losses.nll, int(losses.tokens.sum())),
        f"{prefix}perplexity_change": change,
        f"{prefix}perplexity_change_ci95": interval,
    }


def change_between(before: Losses, after: Losses) -> tuple[float, list[float]]:
    """Relative change in perplexity and its 95% interval over groups of documents."""
    change, interval = change_with_interval(
        before.tokens, before.nll, after.nll, BOOTSTRAP_SAMPLES, BOOTSTRAP_SEED
    )
    return change, list(interval)


def scores_table(baseline: Losses, presets: dict[str, PresetQuality]) -> pa.Table:
    """One row per group: tokens, and summed nats of the baseline and of each preset's arms."""
    columns = {
        "group": pa.array(baseline.groups, pa.int64()),
        "tokens": pa.array(baseline.tokens, pa.int64()),
        "nll_baseline": pa.array(baseline.nll, pa.float64()),
    }
    for name, quality in presets.items():
        columns[f"nll_var_{name}"] = pa.array(quality.var.nll, pa.float64())
        if quality.skip is not None:
            columns[f"nll_skip_{name}"] = pa.array(quality.skip.nll, pa.float64())
    return pa.table(columns)


def write_scores(path: Path, scores: pa.Table) -> None:
    with atomic_file(path) as temporary:
        pq.write_table(scores, temporary)


def latency_report(workloads: dict[str, dict[str, Any]], headline: str, preset: str) -> dict[str, Any]:
    """The content of `results/latency/var_seed*.json`; `headline` names the workload that counts."""
    return {
        "preset": preset,
        "headline": headline,
        **machine(),
        "workloads": workloads,
    }


def machine() -> dict[str, Any]:
    """What timings depend on besides the code."""
    return {
        "hardware": {
            "processor": _processor(),
            "cores": os.cpu_count(),
            "instructions": torch.backends.cpu.get_cpu_capability(),
            "platform": platform.system(),
            "torch": torch.__version__,
        },
        "environment": {name: os.environ.get(name, "") for name in ENVIRONMENT},
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()
