"""What is timed, and how: prefill and decoding in several arms, one run of each in turn.

Decoding goes token by token over a cache of keys and values; it follows a given text and does
not sample, so that every arm does the same steps. Taking turns spreads slow spells of the
machine over all arms, and the order rotates from repeat to repeat. A speed-up is the median of
the ratios within a repeat; its interval resamples repeats (percentile bootstrap).
"""

import statistics
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy.stats import bootstrap
from torch import Tensor, nn

from tinyguardrail_common.errors import UserError
from tinyguardrail_common.progress import progress
from var_moe.evaluation.arms import OWN_ARM, STOCK_ARMS
from var_moe.params import VarLatency

PREFILL, DECODE = "prefill", "decode"
WARMUP = 1  # untimed runs of each arm
RESAMPLES, RESAMPLING_SEED = 2000, 0


@dataclass(frozen=True)
class Workload:
    """One thing to time; `token_ids` is (B, S), of which decoding reads the first `prompt` untimed."""

    kind: str
    token_ids: Tensor
    prompt: int
    threads: int

    @property
    def name(self) -> str:
        batch, length = self.token_ids.shape
        size = f"{batch}x{length}" if self.kind == PREFILL else str(batch)
        return f"{self.kind}_{size}_threads{self.threads}"

    @property
    def tokens(self) -> int:
        """Tokens behind one timing."""
        batch, length = self.token_ids.shape
        return batch * (length - self.prompt)

    @torch.inference_mode()
    def seconds(self, model: nn.Module) -> float:
        """One timed run."""
        if self.kind == PREFILL:
            start = time.perf_counter()
            model(input_ids=self.token_ids, use_cache=False)
            return time.perf_counter() - start
        cache = model(input_ids=self.token_ids[:, : self.prompt], use_cache=True).past_key_values
        start = time.perf_counter()
        for position in range(self.prompt, self.token_ids.shape[1]):
            step = self.token_ids[:, position : position + 1]
            cache = model(input_ids=step, past_key_values=cache, use_cache=True).past_key_values
        return time.perf_counter() - start


def build_workloads(settings: VarLatency, ids: Tensor, length: int) -> list[Workload]:
    """Every workload on every number of threads, on consecutive pieces of one text.

    Args:
        ids: (T,) token ids; read from the start again where they do not suffice.
        length: tokens of a prefilled sequence.

    Raises:
        UserError: a decoded sequence would be longer than a prefilled one, which the model's
            positions are known to hold.
    """
    decoded = settings.decode_prompt + settings.decode_tokens
    if decoded > length:
        raise UserError(
            f"var.eval.decode_prompt + decode_tokens = {decoded} exceed the sequence of {length} tokens"
        )
    workloads = []
    for threads in settings.threads:
        for batch in settings.prefill_batches:
            workloads.append(Workload(PREFILL, _rows(ids, batch, length), 0, threads))
        for batch in settings.decode_batches:
            workloads.append(Workload(DECODE, _rows(ids, batch, decoded), settings.decode_prompt, threads))
    return workloads


def largest_prefill(workloads: Iterable[Workload]) -> Workload:
    """The workload that headline speed-ups are of: the largest prefilled batch on the fewest threads."""
    prefills = [each for each in workloads if each.kind == PREFILL]
    return min(prefills, key=lambda each: (each.threads, -each.tokens))


def _rows(ids: Tensor, batch: int, length: int) -> Tensor:
    needed = batch * length
    return ids.repeat(-(-needed // len(ids)))[:needed].view(batch, length)


def time_in_turns(arms: dict[str, Callable[[], float]], repeats: int, label: str) -> dict[str, list[float]]:
    """Seconds of each arm, name -> one value a repeat; an arm runs once and says how long it took."""
    names, seconds = list(arms), {name: [] for name in arms}
    for repeat in progress(range(WARMUP + repeats), label):
        for position in range(len(names)):
            name = names[(position + repeat) % len(names)]
            taken = arms[name]()
            if repeat >= WARMUP:
                seconds[name].append(taken)
    return seconds


def compare_speeds(speeds: dict[str, list[float]]) -> dict[str, Any]:
    """The best stock arm by its median, and the speed-up of every other arm over it and over our kernel."""
    best = max(STOCK_ARMS, key=lambda arm: statistics.median(speeds[arm]))
    speedups = {
        arm: {
            "vs_best_stock": speedup(own, speeds[best]),
            "vs_own_kernel": speedup(own, speeds[OWN_ARM]),
        }
        for arm, own in speeds.items()
        if arm not in (*STOCK_ARMS, OWN_ARM)
    }
    return {"best_stock": best, "speedups": speedups}


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
