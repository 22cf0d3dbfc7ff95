"""What `var_eval` writes: quality and shares (deterministic), scores per sequence, timings."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import torch
from torch import Tensor

from tinyguardrail.compute import ENVIRONMENT
from tinyguardrail.files import atomic_file
from var_moe.evaluation import perplexity, sequence_nll
from var_moe.wrapper import VARMixtralWrapper


def compare_quality(
    wrapper: VARMixtralWrapper, sequences: Tensor, batch_size: int
) -> tuple[dict[str, Any], pa.Table]:
    """Perplexity of the unwrapped model and of VAR on (N, S) token ids; VAR is left enabled.

    Returns:
        result: perplexities, their relative change, shares of calls and the table's identity.
        scores: one row per sequence; `nll_baseline` and `nll_var` are sums in nats over
            `tokens` predicted tokens.
    """
    wrapper.disable_var()
    baseline = sequence_nll(wrapper, sequences, batch_size, "baseline")
    wrapper.enable_var()
    wrapper.reset_performance_stats()
    var = sequence_nll(wrapper, sequences, batch_size, "VAR")
    stats = wrapper.get_performance_stats()

    count, length = sequences.shape
    tokens = count * (length - 1)
    before, after = perplexity(baseline, tokens), perplexity(var, tokens)
    table = wrapper.table
    result = {
        "tokens": tokens,
        "perplexity_baseline": before,
        "perplexity_var": after,
        "perplexity_change": after / before - 1,
        "learned_share": stats["learned_share"],
        "cached_share": stats["cached_share"],
        "fast_share": stats["fast_share"],
        "experts_per_call": stats["experts_per_call"],
        "layers": stats["layers"],
        "table_sha256": table.sha256(),
        "thresholds": {
            "confidence": float(table.confidence_threshold),
            "second_to_first_weight": [float(ratio) for ratio in table.ratio_thresholds],
        },
    }
    scores = pa.table(
        {
            "sequence": pa.array(range(count), pa.int64()),
            "tokens": pa.array([length - 1] * count, pa.int64()),
            "nll_baseline": pa.array(baseline, pa.float64()),
            "nll_var": pa.array(var, pa.float64()),
        }
    )
    return result, scores


def write_scores(path: Path, scores: pa.Table) -> None:
    with atomic_file(path) as temporary:
        pq.write_table(scores, temporary)


def latency_record(timings: dict[str, Any], threads: int, batch: Tensor) -> dict[str, Any]:
    """Timings with what they depend on; speeds are prefill tokens per second."""
    return {
        "threads": threads,
        "batch": batch.shape[0],
        "sequence_length": batch.shape[1],
        "repeats": len(timings["arms"]["var"]),
        "hardware": {
            "processor": _processor(),
            "cores": os.cpu_count(),
            "instructions": torch.backends.cpu.get_cpu_capability(),
            "platform": platform.system(),
            "torch": torch.__version__,
        },
        "environment": {name: os.environ.get(name, "") for name in ENVIRONMENT},
        **timings,
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()
