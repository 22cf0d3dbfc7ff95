"""Quality of the stock model, of VAR and of `router + ratio skip` on one text, for several presets.

Beside it the weight of the second expert, which says how much a saving by VAR is worth.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from tinyguardrail_common.progress import progress
from var_moe.evaluation.arms import SKIP_ARM, STOCK_EAGER, VAR_ARM, experts_per_call, running
from var_moe.evaluation.perplexity import token_nll
from var_moe.mixture.blocks import check_length, moe_blocks
from var_moe.params import VarEval
from var_moe.reference.corpus import Stream
from var_moe.routing.config import VARConfig
from var_moe.routing.statistics import RoutingStatistics
from var_moe.routing.table import build_table
from var_moe.routing.wrapper import VARMixtralWrapper


@dataclass(frozen=True)
class Losses:
    """Summed negative log-likelihood of each group of documents, in nats."""

    groups: np.ndarray  # (G,) int64, of the stream
    tokens: np.ndarray  # (G,) int64, predicted tokens
    nll: np.ndarray  # (G,) float64


@dataclass(frozen=True)
class PresetQuality:
    """What one table does to a text; the last two are None where only VAR was measured."""

    wrapper: VARMixtralWrapper
    var: Losses
    stats: dict[str, Any]  # shares of calls by route and experts per call, as the wrapper counts them
    skip: Losses | None = None
    skip_experts_per_call: float | None = None


def build_wrappers(
    model: Any, statistics: RoutingStatistics, held_out: Tensor, configs: Iterable[VARConfig]
) -> dict[str, VARMixtralWrapper]:
    """A wrapper for each configuration, by the name of its preset; all are left disabled."""
    wrappers = {}
    for config in configs:
        wrapper = VARMixtralWrapper(model, build_table(statistics, config, held_out))
        wrapper.disable_var()
        wrappers[config.preset] = wrapper
    return wrappers


def losses_of(wrapper: VARMixtralWrapper, arm: str, text: Stream, settings: VarEval) -> Losses:
    """Losses of one arm on a text; a token belongs to the group of its document."""
    with running(wrapper, arm):
        return _losses(wrapper, text, settings, arm)


def preset_quality(wrapper: VARMixtralWrapper, text: Stream, settings: VarEval, skip: bool) -> PresetQuality:
    """VAR and, if asked for, `router + ratio skip` by one table."""
    wrapper.reset_performance_stats()
    var = losses_of(wrapper, VAR_ARM, text, settings)
    stats = wrapper.get_performance_stats()
    if not skip:
        return PresetQuality(wrapper, var, stats)
    with running(wrapper, SKIP_ARM) as hooks:
        losses = _losses(wrapper, text, settings, SKIP_ARM)
    return PresetQuality(wrapper, var, stats, losses, experts_per_call(hooks))


def evaluate_presets(
    wrappers: dict[str, VARMixtralWrapper], text: Stream, settings: VarEval, *, skip: bool = True
) -> tuple[Losses, dict[str, PresetQuality]]:
    """The model as it came, what a user of VAR gives up, and each preset; without `skip`, VAR alone."""
    baseline = losses_of(next(iter(wrappers.values())), STOCK_EAGER, text, settings)
    names = progress(list(wrappers), "presets")
    return baseline, {name: preset_quality(wrappers[name], text, settings, skip) for name in names}


def _losses(wrapper: VARMixtralWrapper, text: Stream, settings: VarEval, label: str) -> Losses:
    nll = token_nll(
        wrapper.model,
        text.ids,
        window=settings.window,
        stride=settings.stride,
        batch_size=settings.batch_size,
        label=label,
    )
    groups, index = np.unique(text.groups.numpy()[1:], return_inverse=True)
    tokens = np.bincount(index)
    return Losses(groups, tokens, np.bincount(index, weights=nll))


@torch.inference_mode()
def second_weights(model: PreTrainedModel, sequences: Tensor, batch_size: int) -> list[float]:
    """Mean share of the second expert in the weights of a call, by layer with experts.

    What leaving it out can cost: a router that was trained into giving its second expert nothing
    loses nothing when a table leaves it out, and any saving measured on it is one that the stock
    model could have had too. The figure therefore stands beside every change in perplexity.

    Args:
        model: with its own routers, at least two experts per token.
        sequences: (N, S) token ids without padding.
        batch_size: sequences at once.

    Returns:
        One number a layer, from 0 (the first expert has all the weight) to 0.5 (both have the same).

    Raises:
        UserError: the model has no experts, or a sequence is longer than its positions.
    """
    blocks = moe_blocks(model)
    check_length(model, sequences.shape[1])
    sums = [torch.zeros((), dtype=torch.float64) for _ in blocks]

    def add(total: Tensor, router: nn.Module, args: tuple, output: tuple[Tensor, Tensor, Tensor]) -> None:
        weights = output[1].double()  # (T, K), strongest first
        total += (weights[:, 1] / weights.sum(-1)).sum().cpu()

    pairs = zip(blocks, sums, strict=True)
    handles = [block.gate.register_forward_hook(partial(add, total)) for block, total in pairs]
    try:
        for batch in sequences.split(batch_size):
            model(input_ids=batch.to(model.device), use_cache=False)
    finally:
        for handle in handles:
            handle.remove()
    return [float(total) / sequences.numel() for total in sums]
