"""Throughput of VAR: medians of speed-ups within a run, over the seeds' models."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any

from tinyguardrail.evaluation.inputs import read_timings
from tinyguardrail.evaluation.summary import Summary, over_seeds, rounded

AGAINST = ("vs_best_stock", "vs_own_kernel")
TIMED_ARMS = {"var": "", "router_ratio_skip": "skip_"}  # arm -> prefix of its metrics


def read_var_timings(seeds: Sequence[int], preset: str) -> list[dict[str, Any]] | None:
    """Timings of every seed, or None where one is missing or is of another preset or form.

    Timings are no outs of DVC: a checkout of other results may find old ones.
    """
    timings = read_timings("var", seeds)
    if timings and all(each.get("preset") == preset and "workloads" in each for each in timings):
        return timings
    return None


def speed_tests(
    timings: list[dict[str, Any]], seeds: Sequence[int], headline: str
) -> tuple[dict[str, dict[str, Summary]], dict[str, dict[str, Summary]]]:
    """Metrics of every workload, and of every preset on the headline workload."""
    workloads, first = {}, timings[0]["headline"]
    for name in timings[0]["workloads"]:
        own = [timing["workloads"][name] for timing in timings]
        found = {"tokens_per_second": _tokens_per_second(own, "var", seeds)}
        best = [each["best_stock"] for each in own]
        stock = [each["tokens_per_second"][arm] for each, arm in zip(own, best, strict=True)]
        medians = [statistics.median(speeds) for speeds in stock]
        found["best_stock_tokens_per_second"] = over_seeds(medians, len(stock[0]), seeds)
        for arm, prefix in TIMED_ARMS.items():
            found |= _speedups(own, arm, prefix, seeds)
        workloads[name] = found
    own = [timing["workloads"][first] for timing in timings]
    presets = {headline: _speedups(own, "var", "", seeds)}
    presets[headline] |= _speedups(own, "router_ratio_skip", "skip_", seeds)
    for arm in own[0]["speedups"]:
        if arm not in TIMED_ARMS:
            presets[arm.removeprefix("var_")] = _speedups(own, arm, "", seeds)
    return workloads, presets


def _tokens_per_second(own: list[dict[str, Any]], arm: str, seeds: Sequence[int]) -> Summary:
    speeds = [each["tokens_per_second"][arm] for each in own]
    return over_seeds([statistics.median(each) for each in speeds], len(speeds[0]), seeds)


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
        found[f"{prefix}speedup_{against}"] = over_seeds(values, repeats, seeds, ci95_repeats=over)
    return found
