"""What each row of the statistics would decide, and the thresholds that let it."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from tinyguardrail_common.errors import UserError
from var_moe.routing.statistics import RoutingStatistics, find_rows
from var_moe.routing.table_config import TableConfig


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


def estimate_rows(statistics: RoutingStatistics, config: TableConfig) -> RowEstimates:
    """Smoothed decisions of every row that the configuration keeps.

    Raises:
        UserError: a layer named in the configuration does not exist.
    """
    _check_layers(config, statistics.probability_sum.shape[1])
    vocab = statistics.vocab_size
    probability, mean_weight = statistics.smoothed(config.smoothing)  # (R, L, E)
    kept = statistics.frequency[vocab:] >= (config.frequency_threshold or config.min_count)
    kept &= torch.tensor(config.looks_up_contexts)
    rows = torch.cat([torch.arange(vocab), vocab + kept.nonzero().flatten()])

    top = mean_weight[rows].topk(statistics.top_k, dim=-1)
    weights = top.values / top.values.sum(-1, keepdim=True)
    if not statistics.normalized:  # the chosen experts share the mass that the router gives out
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


def held_out_calls(rows: RowEstimates, vocab_size: int, held_out: Tensor) -> Tensor:
    """(R,) how many of the calls of (N, S) held-out token ids look each row up.

    Raises:
        UserError: the text is of another vocabulary.
    """
    highest = int(held_out.max())
    if highest >= vocab_size:
        raise UserError(
            f"token id {highest} of the held-out text is outside the vocabulary of {vocab_size}: "
            "was it encoded with another tokenizer?"
        )
    return find_rows(rows.context_keys, vocab_size, held_out)[0].bincount(minlength=len(rows.calls))


def set_thresholds(rows: RowEstimates, config: TableConfig, calls: Tensor) -> tuple[Tensor, Tensor]:
    """Confidence and skip ratios, each as given or, where None, a quantile over calls.

    Args:
        calls: (R,) how often each row is looked up.

    Returns:
        confidence threshold, () float64; skip ratios, (L,) float64, negative: keep every expert.
    """
    confidence = torch.tensor(config.confidence_threshold or 0.0, dtype=torch.float64)
    if config.confidence_threshold is None and config.learned_share > 0:
        confidence = weighted_quantile(
            rows.confidence, calls.expand_as(rows.confidence), config.learned_share
        )
    if config.layer_skip_ratios is not None:
        given = torch.tensor(config.layer_skip_ratios, dtype=torch.float64)
        return confidence, given.masked_fill(given == 0, -1)
    layers = len(rows.confidence)
    free = [layer for layer in range(layers) if layer not in config.two_expert_layers]
    ratios = torch.full((layers,), -1, dtype=torch.float64)
    if free and config.single_share > 0 and rows.experts.shape[-1] > 1:
        ratio = rows.ratio[free]
        ratios[free] = weighted_quantile(ratio, calls[:, None].expand_as(ratio), config.single_share)
    return confidence, ratios


def weighted_quantile(values: Tensor, weights: Tensor, share: float) -> Tensor:
    """Linearly interpolated quantile of values of which each stands there `weights` times, a whole number.

    To the bit that of `torch.quantile` of the values written out, which refuses more than 16 million.
    """
    ordered = values.flatten().sort()
    ends = weights.flatten()[ordered.indices].cumsum(0)
    rank = share * (int(ends[-1]) - 1)
    below = math.floor(rank)
    low, high = torch.searchsorted(ends, torch.tensor([below, math.ceil(rank)]), right=True)
    return ordered.values[low].lerp(ordered.values[high], rank - below)


def _check_layers(config: TableConfig, layers: int) -> None:
    if any(layer >= layers for layer in config.two_expert_layers):
        raise UserError(f"two_expert_layers names a layer beyond the model's {layers}")
    given = config.layer_skip_ratios
    if given is not None and len(given) != layers:
        raise UserError(f"layer_skip_ratios has {len(given)} ratios for the model's {layers} layers")
