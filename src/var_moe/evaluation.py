"""Quality of the stock model, of VAR and of `router + ratio skip` on one text, for several presets."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from torch import Tensor

from tinyguardrail.progress import progress
from var_moe.arms import SKIP_ARM, STOCK_EAGER, VAR_ARM, experts_per_call, running
from var_moe.config import VARConfig
from var_moe.corpus import Stream
from var_moe.perplexity import token_nll
from var_moe.statistics import RoutingStatistics
from var_moe.table import build_table
from var_moe.wrapper import VARMixtralWrapper

PRESETS = ("conservative", "balanced", "aggressive")


class WindowSettings(Protocol):
    window: int
    stride: int
    batch_size: int


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


def losses_of(wrapper: VARMixtralWrapper, arm: str, text: Stream, settings: WindowSettings) -> Losses:
    """Losses of one arm on a text; a token belongs to the group of its document."""
    with running(wrapper, arm):
        return _losses(wrapper, text, settings, arm)


def baseline_losses(wrapper: VARMixtralWrapper, text: Stream, settings: WindowSettings) -> Losses:
    """The model as it came, with its own router and kernel: what a user of VAR gives up."""
    return losses_of(wrapper, STOCK_EAGER, text, settings)


def preset_quality(
    wrapper: VARMixtralWrapper, text: Stream, settings: WindowSettings, skip: bool
) -> PresetQuality:
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
    wrappers: dict[str, VARMixtralWrapper], text: Stream, settings: WindowSettings, *, skip: bool = True
) -> tuple[Losses, dict[str, PresetQuality]]:
    """The baseline once, and each preset; without `skip`, VAR alone."""
    baseline = baseline_losses(next(iter(wrappers.values())), text, settings)
    names = progress(list(wrappers), "presets", total=len(wrappers))
    return baseline, {name: preset_quality(wrappers[name], text, settings, skip) for name in names}


def _losses(wrapper: VARMixtralWrapper, text: Stream, settings: WindowSettings, label: str) -> Losses:
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
