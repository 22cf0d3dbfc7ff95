"""Size on disk and latency of the exported guard, from what `export` and `benchmark` recorded."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tinyguardrail import paths
from tinyguardrail.evaluation.inputs import read_seeds_json, read_timings
from tinyguardrail.evaluation.summary import Summary, over_seeds

ARMS = ("routed", "always_fast", "always_deep")
QUANTILES = ("p50_ms", "p95_ms", "p99_ms", "mean_ms")


def evaluate_size(seeds: Sequence[int]) -> dict[str, Summary]:
    """Parameters, megabytes by precision, and how far each precision is from torch."""
    reports = read_seeds_json(paths.EXPORT, seeds, "export")
    rows = reports[0]["validation_rows"]
    found = {"parameters": over_seeds([each["parameters"] for each in reports], 1, seeds)}
    for precision in reports[0]["precisions"]:
        for field, n in (("size_mb", 1), ("label_agreement", rows), ("max_abs_difference", rows)):
            values = [each["precisions"][precision][field] for each in reports]
            found[f"{precision}_{field}"] = over_seeds(values, n, seeds)
    return found


def evaluate_latency(seeds: Sequence[int]) -> tuple[dict[str, Summary], dict[str, Any] | None]:
    """Milliseconds per text by arm, and the machine they were measured on.

    The routed guard's values have plain names (`p95_ms`); the others name their arm. Both
    are empty where a seed was not timed.
    """
    timings = read_timings("guard", seeds)
    if timings is None:
        return {}, None
    found = {}
    for arm in ARMS:
        prefix = "" if arm == "routed" else f"{arm}_"
        for quantile in QUANTILES:
            values = [each["arms"][arm][quantile] for each in timings]
            found[f"{prefix}{quantile}"] = over_seeds(values, timings[0]["rows"], seeds)
    return found, {**timings[0]["hardware"], "threads": timings[0]["threads"]}
