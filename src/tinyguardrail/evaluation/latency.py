"""Latency of single texts, end to end: from the string to the verdict.

Timings differ from run to run, so they go to files of their own that DVC does not track.
"""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tinyguardrail.inference.runtime import ALWAYS_DEEP, ALWAYS_FAST, Guard
from tinyguardrail.progress import progress


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


def hardware() -> dict[str, Any]:
    """The processor's name and the number of cores this process may use."""
    return {
        "cpu": _cpu_name(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
    }


def _cpu_name() -> str:
    information = Path("/proc/cpuinfo")
    if information.is_file():
        for line in information.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
