"""Perplexity per sequence, and throughput of several arms interleaved in one run."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from tinyguardrail.progress import progress
from var_moe.experts import EXPERTS_IMPLEMENTATION
from var_moe.wrapper import VARMixtralWrapper

STOCK_ARMS = ("stock_eager", "stock_grouped_mm")
OWN_ARM, VAR_ARM = "own_kernel_var_off", "var"


@torch.inference_mode()
def sequence_nll(model: Callable[..., Any], sequences: Tensor, batch_size: int, label: str) -> np.ndarray:
    """Negative log-likelihood of each sequence, summed over its tokens but the first, in nats.

    Args:
        sequences: (N, S) token ids without padding.

    Returns:
        (N,) float64.
    """
    sums = []
    starts = range(0, len(sequences), batch_size)
    for start in progress(starts, label, total=len(starts)):
        batch = sequences[start : start + batch_size]
        logits = model(input_ids=batch, use_cache=False).logits  # (B, S, V)
        nll = F.cross_entropy(logits[:, :-1].float().transpose(1, 2), batch[:, 1:], reduction="none")
        sums.append(nll.double().sum(1))
    return torch.cat(sums).numpy()


def perplexity(nll: np.ndarray, tokens: int) -> float:
    """Exponential of the mean over all predicted tokens, not of per-sequence means."""
    return math.exp(nll.sum() / tokens)


@torch.inference_mode()
def throughput(wrapper: VARMixtralWrapper, batch: Tensor, repeats: int, warmup: int = 2) -> dict[str, Any]:
    """Prefill tokens per second of four arms, one call of each in turn.

    Taking turns spreads slow spells of the machine over all arms; the order rotates from
    repeat to repeat. Speed-ups are medians of ratios within a repeat. VAR is left enabled.

    Args:
        batch: (B, S) token ids.
    """
    model = wrapper.model
    wrapper.disable_var()
    original = model.config._experts_implementation
    arms = [*STOCK_ARMS, OWN_ARM, VAR_ARM]
    speeds: dict[str, list[float]] = {arm: [] for arm in arms}
    for repeat in progress(range(warmup + repeats), "throughput", total=warmup + repeats):
        for position in range(len(arms)):
            arm = arms[(position + repeat) % len(arms)]
            _switch(wrapper, arm)
            start = time.perf_counter()
            model(input_ids=batch, use_cache=False)
            seconds = time.perf_counter() - start
            if repeat >= warmup:
                speeds[arm].append(batch.numel() / seconds)
    wrapper.disable_var()
    model.set_experts_implementation(original)
    wrapper.enable_var()
    best_stock = max(STOCK_ARMS, key=lambda arm: statistics.median(speeds[arm]))
    return {
        "arms": speeds,
        "best_stock": best_stock,
        "speedup_vs_best_stock": _paired_ratio(speeds[VAR_ARM], speeds[best_stock]),
        "speedup_vs_own_kernel": _paired_ratio(speeds[VAR_ARM], speeds[OWN_ARM]),
    }


def _switch(wrapper: VARMixtralWrapper, arm: str) -> None:
    """Stock arms run the model as it came, with no hook of ours in the way."""
    wrapper.disable_var()
    if arm == VAR_ARM:
        wrapper.enable_var()
    else:
        wrapper.model.set_experts_implementation(_IMPLEMENTATIONS[arm])


_IMPLEMENTATIONS = {"stock_eager": "eager", "stock_grouped_mm": "grouped_mm", OWN_ARM: EXPERTS_IMPLEMENTATION}


def _paired_ratio(numerator: list[float], denominator: list[float]) -> float:
    return statistics.median(a / b for a, b in zip(numerator, denominator, strict=True))
