"""What `results/latency/` holds of VAR: throughput by workload, phase one, and what tracking costs.

Timings differ from run to run, so they stand apart from what is the same on every run.
"""

import os
import platform
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import MixtralForCausalLM

from tinyguardrail_common.compute import ENVIRONMENT
from tinyguardrail_common.machine import cores, processor
from var_moe.evaluation.arms import ARMS, VAR_ARM, running
from var_moe.evaluation.text import EvaluationText
from var_moe.evaluation.timing import (
    Workload,
    build_workloads,
    compare_speeds,
    largest_prefill,
    speedup,
    time_in_turns,
)
from var_moe.params import Var
from var_moe.routing.statistics import collect_statistics
from var_moe.routing.table import RoutingTable
from var_moe.routing.wrapper import VARMixtralWrapper


def time_var(wrappers: dict[str, VARMixtralWrapper], text: EvaluationText, settings: Var) -> dict[str, Any]:
    """The content of `results/latency/var_seed*.json`: the headline preset on every workload.

    The other presets are timed beside it on the workload that headline speed-ups are of.

    Args:
        wrappers: preset -> wrapper, all of one model.
    """
    wrapper, repeats = wrappers[settings.preset], settings.latency.repeats
    others = {f"var_{name}": each for name, each in wrappers.items() if each is not wrapper}
    workloads = build_workloads(settings.latency, text.test.ids, settings.train.sequence_length)
    headline = largest_prefill(workloads)
    timings = {
        each.name: time_workload(wrapper, each, repeats, others if each is headline else {})
        for each in workloads
    }
    collected = text.statistics[: settings.latency.phase_one_sequences]
    return {
        **_record(timings, headline, settings.preset),
        "phase_one": time_phase_one(wrapper.model, collected, settings.eval.batch_size),
        "tracking_overhead": tracking_overhead(wrapper.model, wrapper.table, headline, repeats),
    }


def time_front(wrappers: dict[str, VARMixtralWrapper], text: EvaluationText, settings: Var) -> dict[str, Any]:
    """The content of `results/latency/var_search.json`: every point of the front on the headline workload.

    Args:
        wrappers: name of a point -> wrapper, all of one model.
    """
    workloads = build_workloads(settings.latency, text.test.ids, settings.train.sequence_length)
    headline = largest_prefill(workloads)
    stock = next(iter(wrappers.values()))  # any of them gives the arms without a table
    timing = time_workload(stock, headline, settings.latency.search_repeats, wrappers)
    return _record({headline.name: timing}, headline, stock.config.preset)


def time_workload(
    wrapper: VARMixtralWrapper, workload: Workload, repeats: int, others: dict[str, VARMixtralWrapper]
) -> dict[str, Any]:
    """Tokens per second of every arm on one workload, and what they say; VAR is left off.

    Args:
        others: further tables to time VAR with, name -> wrapper of the same model.
    """
    arms = {arm: _run(wrapper, arm, workload) for arm in ARMS}
    arms |= {name: _run(other, VAR_ARM, workload) for name, other in others.items()}
    with _threads(workload.threads):
        seconds = time_in_turns(arms, repeats, workload.name)
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
        for batch in sequences.split(batch_size):
            model.model(input_ids=batch, use_cache=False)

    @torch.inference_mode()
    def timed(work: Callable[[], Any]) -> float:
        start = time.perf_counter()
        work()
        return time.perf_counter() - start

    arms = {
        "plain": lambda: timed(forward),
        "collecting": lambda: timed(lambda: collect_statistics(model, sequences, batch_size)),
    }
    seconds = time_in_turns(arms, repeats, "phase 1")
    ratio = speedup(seconds["collecting"], seconds["plain"])
    return {"tokens": sequences.numel(), "seconds": seconds, "ratio": ratio["median"], "ci95": ratio["ci95"]}


def tracking_overhead(model: Any, table: RoutingTable, workload: Workload, repeats: int) -> float:
    """Share of time that counting calls and writing the log add to VAR without either."""
    plain, tracked = (
        table.config.model_copy(update={"track_performance": track, "enable_var": False})
        for track in (False, True)
    )
    with tempfile.TemporaryDirectory() as folder, _threads(workload.threads):
        logged = VARMixtralWrapper(model, table, tracked, log_path=Path(folder) / "log")
        arms = {
            "plain": _run(VARMixtralWrapper(model, table, plain), VAR_ARM, workload),
            "tracked": _run(logged, VAR_ARM, workload),
        }
        seconds = time_in_turns(arms, repeats, "tracking")
        logged.close()
    return speedup(seconds["tracked"], seconds["plain"])["median"] - 1


def _run(wrapper: VARMixtralWrapper, arm: str, workload: Workload) -> Callable[[], float]:
    def run() -> float:
        with running(wrapper, arm):
            return workload.seconds(wrapper.model)

    return run


@contextmanager
def _threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _record(timings: dict[str, dict[str, Any]], headline: Workload, preset: str) -> dict[str, Any]:
    return {
        "preset": preset,
        "headline": headline.name,
        "hardware": {
            "processor": processor(),
            "cores": cores(),
            "instructions": torch.backends.cpu.get_cpu_capability(),
            "platform": platform.system(),
            "torch": torch.__version__,
        },
        "environment": {name: os.environ.get(name, "") for name in ENVIRONMENT},
        "workloads": timings,
    }
