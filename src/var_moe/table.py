"""Phase 2 of VAR: a frozen table that decides most router calls from token ids alone.

`build_table` turns statistics into decisions; `RoutingTable.plan` reads them back. The plan
is a pure function of the table and the token ids: a table's hash covers the thresholds and
the configuration too, so anyone who holds the table can replay every fast and cached
decision without the model.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from tinyguardrail.errors import UserError
from var_moe.config import VARConfig
from var_moe.statistics import RoutingStatistics, context_key, previous_tokens

# Who decides a call: the token's row, the context's row, the stock router, nobody.
FAST, CACHED, LEARNED, PADDING = range(4)

_TENSORS = ("context_keys", "experts", "weights", "bypass", "ratio_thresholds", "confidence_threshold")


@dataclass(frozen=True)
class Plan:
    """The decisions for T tokens in L layers, K experts each."""

    routes: Tensor  # (L, T) uint8: FAST, CACHED, LEARNED or PADDING
    experts: Tensor  # (L, T, K) int64; num_experts where a slot is left out or not yet decided
    weights: Tensor  # (L, T, K) float32; 0 there


@dataclass(frozen=True)
class RoutingTable:
    """Rows as in `RoutingStatistics`: V tokens, then the contexts kept."""

    config: VARConfig
    vocab_size: int
    num_experts: int
    model_sha256: str
    context_keys: Tensor  # (R - V,) int64, sorted
    experts: Tensor  # (L, R, K) int64; num_experts leaves the second expert out
    weights: Tensor  # (L, R, K) float32, sum 1
    bypass: Tensor  # (L, R) bool: the row is sure enough to do without the router
    ratio_thresholds: Tensor  # (L,) float32: one expert where second / first weight is at most this
    confidence_threshold: Tensor  # () float64

    def sha256(self) -> str:
        """Hash of the content: every tensor, the configuration and the model's hash."""
        digest = hashlib.sha256(json.dumps(self._metadata(), sort_keys=True).encode())
        for name in _TENSORS:
            tensor = getattr(self, name).contiguous()
            digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
            digest.update(tensor.reshape(-1).view(torch.uint8).numpy())
        return digest.hexdigest()

    def lookup(self, token_ids: Tensor, previous: Tensor) -> tuple[Tensor, Tensor]:
        """The row of each token: its context's if the table has it, else the token's own.

        Args:
            token_ids, previous: (T,) int64.

        Returns:
            rows: (T,) int64.
            cached: (T,) bool, whether the row is a context's.
        """
        return _find_rows(self.context_keys, self.vocab_size, token_ids, previous)

    def plan(self, token_ids: Tensor, mask: Tensor | None = None, before: Tensor | None = None) -> Plan:
        """Decide every call of (B, S) token ids that needs no router.

        Args:
            token_ids: (B, S).
            mask: (B, S) bool, False for padding, which is given no expert.
            before: (B,) the token before the first column, -1 where there is none.
        """
        rows, cached = self.lookup(
            token_ids.reshape(-1), previous_tokens(token_ids, mask, before).reshape(-1)
        )
        bypass = self.bypass[:, rows]  # (L, T)
        routes = torch.where(bypass, cached.to(torch.uint8), LEARNED)
        experts, weights = self.experts[:, rows], self.weights[:, rows]
        if mask is not None and not mask.all():
            padding = ~mask.reshape(-1)
            routes[:, padding] = PADDING
            experts[:, padding] = self.num_experts
            weights[:, padding] = 0
        return Plan(routes, experts, weights)

    def save(self, path: Path | str) -> None:
        tensors = {name: getattr(self, name).contiguous() for name in _TENSORS}
        save_file(tensors, path, metadata=self._metadata() | {"sha256": self.sha256()})

    @classmethod
    def load(cls, path: Path | str) -> RoutingTable:
        """Read a table and check it against the hash it was saved with.

        Raises:
            UserError: the content does not match the hash.
        """
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata()
            tensors = {name: file.get_tensor(name) for name in _TENSORS}
        table = cls(
            config=VARConfig.from_json(metadata["config"]),
            vocab_size=int(metadata["vocab_size"]),
            num_experts=int(metadata["num_experts"]),
            model_sha256=metadata["model_sha256"],
            **tensors,
        )
        if table.sha256() != metadata["sha256"]:
            raise UserError(f"{path}: the table's content does not match its hash {metadata['sha256'][:12]}")
        return table

    def _metadata(self) -> dict[str, str]:
        return {
            "config": self.config.to_json(),
            "vocab_size": str(self.vocab_size),
            "num_experts": str(self.num_experts),
            "model_sha256": self.model_sha256,
        }


def build_table(statistics: RoutingStatistics, config: VARConfig, held_out: Tensor) -> RoutingTable:
    """Freeze the decisions of every row and set the thresholds.

    The thresholds are quantiles over the calls of held-out validation text, so that about
    `learned_share` of all calls keep the router and `single_share` of the calls in the
    layers that may drop an expert do so. No model is needed for either.

    Args:
        held_out: (N, S) token ids that the statistics were not collected on.

    Raises:
        UserError: there is no held-out text, or a layer named in the configuration is missing.
    """
    if held_out.numel() == 0:
        raise UserError("no held-out sequences to set the thresholds on")
    layers, num_experts = statistics.probability_sum.shape[1:]
    if any(layer >= layers for layer in config.two_expert_layers):
        raise UserError(f"two_expert_layers names a layer beyond the model's {layers}")
    vocab = statistics.vocab_size
    probability, mean_weight = statistics.smoothed(config.smoothing)  # (R, L, E)
    kept = statistics.frequency[vocab:] >= config.min_count
    kept &= torch.tensor(config.use_context)
    rows = torch.cat([torch.arange(vocab), vocab + kept.nonzero().flatten()])

    top = mean_weight[rows].topk(statistics.top_k, dim=-1)
    weights = (top.values / top.values.sum(-1, keepdim=True)).transpose(0, 1)  # (L, R, K)
    confidence = probability[rows].gather(-1, top.indices)[..., 0].T.contiguous()  # (L, R)
    confidence[:, :vocab][:, statistics.frequency[:vocab] == 0] = 0  # an unseen token: ask the router
    ratio = weights[..., -1] / weights[..., 0]  # (L, R)

    context_keys = statistics.context_keys[kept]
    held_rows, _ = _find_rows(
        context_keys, vocab, held_out.reshape(-1), previous_tokens(held_out).reshape(-1)
    )
    threshold = torch.tensor(0.0, dtype=torch.float64)
    if config.learned_share > 0:
        threshold = torch.quantile(confidence[:, held_rows].flatten(), config.learned_share)
    bypass = confidence > threshold

    ratio_thresholds = torch.full((layers,), -1.0)  # no ratio is negative: two experts
    free = [layer for layer in range(layers) if layer not in config.two_expert_layers]
    if free and config.single_share > 0:
        ratio_thresholds[free] = torch.quantile(
            ratio[free][:, held_rows].flatten(), config.single_share
        ).float()
    single = ratio.float() <= ratio_thresholds[:, None]  # (L, R)

    experts = top.indices.transpose(0, 1).contiguous()  # (L, R, K)
    experts[..., 1:][single] = num_experts
    experts[~bypass] = num_experts
    weights = weights.float().contiguous()
    weights[single] = torch.eye(statistics.top_k)[0]
    weights[~bypass] = 0
    return RoutingTable(
        config=config,
        vocab_size=vocab,
        num_experts=num_experts,
        model_sha256=statistics.model_sha256,
        context_keys=context_keys,
        experts=experts,
        weights=weights,
        bypass=bypass,
        ratio_thresholds=ratio_thresholds,
        confidence_threshold=threshold,
    )


def _find_rows(
    context_keys: Tensor, vocab_size: int, token_ids: Tensor, previous: Tensor
) -> tuple[Tensor, Tensor]:
    if not len(context_keys):
        return token_ids, torch.zeros_like(token_ids, dtype=torch.bool)
    key = context_key(previous, token_ids, vocab_size)
    position = torch.searchsorted(context_keys, key).clamp_(max=len(context_keys) - 1)
    cached = context_keys[position] == key
    return torch.where(cached, position + vocab_size, token_ids), cached
