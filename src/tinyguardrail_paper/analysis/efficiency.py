"""Size on disk and latency of the exported guard, from what `export` and `benchmark` recorded."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tinyguardrail_paper.analysis.intervals import wilson_over_seeds
from tinyguardrail_paper.analysis.summary import Format, Summary, over_seeds, over_texts
from tinyguardrail_paper.scores.inputs import InputError, read_seeds_json, read_timings
from tinyguardrail_paper.settings import paths

ARMS = ("routed", "always_fast", "always_deep")
INT8_KEY = "int8_against_fp32"
INT8_FIELDS = ("rows", "macro_f1_fp32", "macro_f1_int8", "intent_agreement", "verdict_agreement")
PRECISIONS = ("fp32", "int8")
PRECISION_FORMATS: dict[str, Format] = {
    "size_mb": "megabytes",
    "intent_agreement": "percent",
    "max_abs_difference": "small",
}
QUANTILES = ("p50_ms", "p95_ms", "p99_ms", "mean_ms")


def evaluate_size(seeds: Sequence[int]) -> dict[str, Summary]:
    """Parameters, megabytes by precision, and how far each precision is from torch."""
    reports = read_seeds_json(paths.EXPORT, seeds, "export")
    rows = reports[0]["validation_rows"]
    found = {"parameters": over_seeds([each["parameters"] for each in reports], 1, seeds, "millions")}
    for precision in PRECISIONS:
        for field, written in PRECISION_FORMATS.items():
            values = [each["precisions"][precision][field] for each in reports]
            n = 1 if field == "size_mb" else rows
            found[f"{precision}_{field}"] = over_seeds(values, n, seeds, written)
    return found


def evaluate_int8(seeds: Sequence[int]) -> dict[str, Summary]:
    """INT8 weights against fp32 ones on the same rows: macro F1 of each, and how often they agree.

    Raises:
        InputError: an export report lacks one of the fields.
    """
    reports = [
        _int8_report(each, paths.EXPORT / f"{paths.seed_name(seed)}.json")
        for seed, each in zip(seeds, read_seeds_json(paths.EXPORT, seeds, "export"), strict=True)
    ]
    rows = reports[0]["rows"]
    values = {name: [each[name] for each in reports] for name in INT8_FIELDS[1:]}
    gap = np.subtract(values["macro_f1_int8"], values["macro_f1_fp32"])
    found = {
        name: over_seeds(values[name], rows, seeds, "probability")
        for name in ("macro_f1_fp32", "macro_f1_int8")
    }
    found["macro_f1_gap_to_fp32"] = over_seeds(gap, rows, seeds, "difference")
    for name in ("intent_agreement", "verdict_agreement"):
        interval = wilson_over_seeds(values[name], rows)
        found[name] = over_texts(values[name], interval, rows, seeds, "percent")
    return found


def _int8_report(report: dict[str, Any], file: Path) -> dict[str, Any]:
    found = report.get(INT8_KEY, {})
    missing = [name for name in INT8_FIELDS if name not in found]
    if missing:
        raise InputError(f"{file}: no {INT8_KEY}.{missing[0]}; run: dvc repro --force export")
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
            found[f"{prefix}{quantile}"] = over_seeds(values, timings[0]["rows"], seeds, "ms")
    return found, {**timings[0]["hardware"], "threads": timings[0]["threads"]}
