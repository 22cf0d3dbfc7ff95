"""What each row of the statistics would decide, and the thresholds that let it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from tinyguardrail.errors import UserError
from var_moe.config import VARConfig
from var_moe.statistics import RoutingStatistics, find_rows, previous_tokens


@dataclass(frozen=True)
class RowEstimates:
    """Rows as in `RoutingStatistics`, without the contexts too rare for a row; K = top_k."""

    context_keys: Tensor  # (R - V,) int64, sorted
    experts: Tensor  # (L, R, K) int64, strongest first
    weights: Tensor  # (L, R, K) float64
    confidence: Tensor  # (L, R) float64, smoothed mean probability of the first; 0 where too rare
    entropy: Tensor  # (L, R) float64, nats
    calls: Tensor  # (R,) int64, calls of the statistics' own text that look this row up

    @property
    def ratio(self) -> Tensor:
        """(L, R, K - 1) weight of each further expert as a part of the first one's."""
        return self.weights[..., 1:] / self.weights[..., :1]


def estimate_rows(statistics: RoutingStatistics, config: VARConfig) -> RowEstimates:
    """Smoothed decisions of every row that the configuration keeps."""
    vocab = statistics.vocab_size
    probability, mean_weight = statistics.smoothed(config.smoothing)  # (R, L, E)
    kept = statistics.frequency[vocab:] >= (config.frequency_threshold or config.min_count)
    kept &= torch.tensor(config.looks_up_contexts)
    rows = torch.cat([torch.arange(vocab), vocab + kept.nonzero().flatten()])

    top = mean_weight[rows].topk(statistics.top_k, dim=-1)
    weights = top.values / top.values.sum(-1, keepdim=True)
    if not statistics.normalised:  # the chosen experts share the mass that the router gives out
        weights = weights * mean_weight[rows].sum(-1, keepdim=True)
    confidence = probability[rows].gather(-1, top.indices)[..., 0].T.contiguous()  # (L, R)
    rare = statistics.frequency[:vocab] < (config.frequency_threshold or 1)
    confidence[:, :vocab][:, rare] = 0

    keys = statistics.context_keys[kept]
    calls = statistics.frequency[rows].clone()
    calls[:vocab].index_add_(0, keys % vocab, -calls[vocab:])
    return RowEstimates(
        context_keys=keys,
        experts=top.indices.transpose(0, 1).contiguous(),
        weights=weights.transpose(0, 1),
        confidence=confidence,
        entropy=statistics.entropy()[rows].T.contiguous(),
        calls=calls,
    )


def held_out_thresholds(
    rows: RowEstimates, config: VARConfig, vocab_size: int, held_out: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Confidence and skip ratios, each as given or, where None, a quantile over held-out calls.

    Args:
        held_out: (N, S) token ids; None where no threshold has to be set.

    Returns:
        confidence threshold, () float64; skip ratios, (L,) float32, negative: keep every expert.

    Raises:
        UserError: held-out text is needed and missing or of another vocabulary, or a layer named
            does not exist.
    """
    layers = len(rows.confidence)
    _check_layers(config, layers)
    given = config.confidence_threshold is not None and config.layer_skip_ratios is not None
    if not given and (held_out is None or held_out.numel() == 0):
        raise UserError("no held-out sequences to set the thresholds on")
    found = None
    if held_out is not None and held_out.numel():
        highest = int(held_out.max())
        if highest >= vocab_size:
            raise UserError(
                f"token id {highest} of the held-out text is outside the vocabulary of {vocab_size}: "
                "was it encoded with another tokenizer?"
            )
        found, _ = find_rows(
            rows.context_keys, vocab_size, held_out.reshape(-1), previous_tokens(held_out).reshape(-1)
        )
    confidence = torch.tensor(config.confidence_threshold or 0.0, dtype=torch.float64)
    if config.confidence_threshold is None and config.learned_share > 0:
        confidence = quantile(rows.confidence[:, found].flatten(), config.learned_share)
    if config.layer_skip_ratios is not None:
        given_ratios = torch.tensor(config.layer_skip_ratios, dtype=torch.float32)
        return confidence, given_ratios.masked_fill(given_ratios == 0, -1.0)
    ratios = torch.full((layers,), -1.0)  # no ratio is negative: two experts
    free = _free_layers(config, layers)
    if free and config.single_share > 0 and rows.experts.shape[-1] > 1:
        ratios[free] = quantile(rows.ratio[free][:, found].flatten(), config.single_share).float()
    return confidence, ratios


def in_sample_thresholds(statistics: RoutingStatistics, config: VARConfig) -> dict[str, Any]:
    """`confidence_threshold` and `layer_skip_ratios` as quantiles over the statistics' own calls.

    Raises:
        UserError: a layer named in the configuration does not exist.
    """
    rows = estimate_rows(statistics, config)
    layers = len(rows.confidence)
    _check_layers(config, layers)
    confidence = 0.0
    if config.learned_share > 0:
        confidence = float(
            weighted_quantile(
                rows.confidence.flatten(),
                rows.calls.expand_as(rows.confidence).flatten(),
                config.learned_share,
            )
        )
    ratios = [0.0] * layers
    free = _free_layers(config, layers)
    if free and config.single_share > 0 and rows.experts.shape[-1] > 1:
        ratio = rows.ratio[free]
        calls = rows.calls[:, None].expand_as(ratio)
        common = float(weighted_quantile(ratio.flatten(), calls.flatten(), config.single_share))
        ratios = [common if layer in free else 0.0 for layer in range(layers)]
    return {"confidence_threshold": min(confidence, 1.0), "layer_skip_ratios": tuple(ratios)}


def quantile(values: Tensor, share: float) -> Tensor:
    """Linearly interpolated quantile of (n,) values, to the bit that of `torch.quantile`.

    torch's own refuses more than 16 million values, which 250,000 tokens in 64 layers are.
    """
    rank = share * (len(values) - 1)
    below = math.floor(rank)
    ordered = values.sort().values
    return ordered[below].lerp(ordered[math.ceil(rank)], rank - below)


def weighted_quantile(values: Tensor, weights: Tensor, share: float) -> Tensor:
    """`quantile` of (n,) values of which each stands there (n,) `weights` times, a whole number."""
    ordered = values.sort()
    ends = weights[ordered.indices].cumsum(0)
    rank = share * (int(ends[-1]) - 1)
    below = math.floor(rank)
    low, high = torch.searchsorted(ends, torch.tensor([below, math.ceil(rank)]), right=True)
    return ordered.values[low].lerp(ordered.values[high], rank - below)


def _free_layers(config: VARConfig, layers: int) -> list[int]:
    return [layer for layer in range(layers) if layer not in config.two_expert_layers]


def _check_layers(config: VARConfig, layers: int) -> None:
    if any(layer >= layers for layer in config.two_expert_layers):
        raise UserError(f"two_expert_layers names a layer beyond the model's {layers}")
    given = config.layer_skip_ratios
    if given is not None and len(given) != layers:
        raise UserError(f"layer_skip_ratios has {len(given)} ratios for the model's {layers} layers")
