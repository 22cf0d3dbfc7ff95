"""Throughput of several arms, one run of each in turn, and speed-ups with intervals over repeats.

Taking turns spreads slow spells of the machine over all arms, and the order rotates from
repeat to repeat. A speed-up is the median of the ratios within a repeat; its interval
resamples repeats (percentile bootstrap).
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import numpy as np
import torch
from scipy.stats import bootstrap
from torch import Tensor
from transformers import MixtralForCausalLM

from tinyguardrail.progress import progress
from var_moe.arms import ARMS, OWN_ARM, STOCK_ARMS, running
from var_moe.statistics import collect_statistics
from var_moe.workloads import Workload
from var_moe.wrapper import VARMixtralWrapper

RESAMPLES, RESAMPLING_SEED = 2000, 0
Arms = dict[str, Callable[[], AbstractContextManager]]  # name -> context in which the model runs as it


def time_arms(
    arms: Arms, run: Callable[[], float], repeats: int, warmup: int, label: str
) -> dict[str, list[float]]:
    """Seconds of `run` inside each arm's context, by arm, one value a repeat."""
    names, seconds = list(arms), {name: [] for name in arms}
    for repeat in progress(range(warmup + repeats), label, total=warmup + repeats):
        for position in range(len(names)):
            name = names[(position + repeat) % len(names)]
            with arms[name]():
                taken = run()
            if repeat >= warmup:
                seconds[name].append(taken)
    return seconds


def wrapper_arms(wrapper: VARMixtralWrapper, **others: VARMixtralWrapper) -> Arms:
    """The five arms of one wrapper, and VAR by the tables of `others`, wrappers of the same model."""
    arms: Arms = {arm: lambda arm=arm: running(wrapper, arm) for arm in ARMS}
    return arms | {name: lambda each=each: running(each, "var") for name, each in others.items()}


def time_workload(
    wrapper: VARMixtralWrapper,
    workload: Workload,
    repeats: int,
    *,
    warmup: int = 1,
    others: dict[str, VARMixtralWrapper] | None = None,
) -> dict[str, Any]:
    """Tokens per second of every arm on one workload, and what they say; VAR is left off.

    Args:
        others: further tables to time VAR with, name -> wrapper of the same model.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(workload.threads)
    try:
        arms = wrapper_arms(wrapper, **(others or {}))
        seconds = time_arms(arms, lambda: workload.seconds(wrapper.model), repeats, warmup, workload.name)
    finally:
        torch.set_num_threads(before)
    speeds = {arm: [workload.tokens / each for each in taken] for arm, taken in seconds.items()}
    batch, length = workload.token_ids.shape
    size = {"kind": workload.kind, "batch": batch, "sequence_length": length, "prompt": workload.prompt}
    return {**size, "threads": workload.threads, "tokens_per_second": speeds, **compare_speeds(speeds)}


def time_phase_one(
    model: MixtralForCausalLM, sequences: Tensor, batch_size: int, repeats: int = 3
) -> dict[str, Any]:
    """Seconds of collecting routing statistics and of a plain forward pass over the same (N, S) token ids.

    The pass is that of the decoder, whose output for the vocabulary the statistics do without.
    Fixed costs, such as hashing the weights, weigh more here than over a whole corpus.
    """

    def forward() -> None:
        for start in range(0, len(sequences), batch_size):
            model.model(input_ids=sequences[start : start + batch_size], use_cache=False)

    work = {"plain": forward, "collecting": lambda: collect_statistics(model, sequences, batch_size)}
    current = {}

    @contextmanager
    def doing(name: str) -> Iterator[None]:
        current["work"] = work[name]
        yield

    def run() -> float:
        start = time.perf_counter()
        with torch.inference_mode():
            current["work"]()
        return time.perf_counter() - start

    arms = {name: lambda name=name: doing(name) for name in work}
    seconds = time_arms(arms, run, repeats, 1, "phase 1")
    ratio = speedup(seconds["collecting"], seconds["plain"])
    return {"tokens": sequences.numel(), "seconds": seconds, "ratio": ratio["median"], "ci95": ratio["ci95"]}


def compare_speeds(speeds: dict[str, list[float]]) -> dict[str, Any]:
    """The best stock arm by its median, and the speed-up of every other arm over it and over our kernel."""
    best = max(STOCK_ARMS, key=lambda arm: statistics.median(speeds[arm]))
    against = {"vs_best_stock": best, "vs_own_kernel": OWN_ARM}
    measured = [arm for arm in speeds if arm not in (*STOCK_ARMS, OWN_ARM)]
    return {
        "best_stock": best,
        "speedups": {
            arm: {name: speedup(speeds[arm], speeds[other]) for name, other in against.items()}
            for arm in measured
        },
    }


def speedup(numerator: list[float], denominator: list[float]) -> dict[str, Any]:
    """Median of paired ratios, and its 95% interval over repeats; None for a single repeat."""
    ratios = np.array(numerator) / np.array(denominator)
    if len(ratios) < 2 or np.ptp(ratios) == 0:
        return {"median": float(np.median(ratios)), "ci95": None}
    found = bootstrap(
        (ratios,),
        np.median,
        n_resamples=RESAMPLES,
        method="percentile",
        rng=np.random.default_rng(RESAMPLING_SEED),
    ).confidence_interval
    return {"median": float(np.median(ratios)), "ci95": [float(found.low), float(found.high)]}
