"""Phase 2 of VAR: a frozen table that decides most router calls from token ids alone.

`build_table` turns statistics into decisions; `RoutingTable.plan` reads them back. The plan
is a pure function of the table and the token ids: a table's hash covers the thresholds and
the configuration too, so anyone who holds the table can replay every fast and cached
decision without the model.
"""

import hashlib
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from tinyguardrail_common.errors import UserError
from tinyguardrail_common.files import atomic_file
from var_moe.routing.config import VARConfig
from var_moe.routing.statistics import RoutingStatistics, find_rows
from var_moe.routing.thresholds import estimate_rows, held_out_calls, set_thresholds

# Who decides a call: the token's row, the context's row, the stock router, nobody.
FAST, CACHED, LEARNED, PADDING = range(4)

_TENSORS = ("context_keys", "experts", "weights", "bypass", "ratio_thresholds", "confidence_threshold")


@dataclass(frozen=True)
class Plan:
    """The decisions for T tokens in L layers, K experts each."""

    routes: Tensor  # (L, T) uint8: FAST, CACHED, LEARNED or PADDING
    experts: Tensor  # (L, T, K) int64; num_experts where a slot is left out or not yet decided
    weights: Tensor  # (L, T, K) float32; 0 there

    def learned(self) -> list[Tensor]:
        """Positions (n,) of the calls of each layer that are left to the router."""
        layer, position = (self.routes == LEARNED).nonzero(as_tuple=True)
        return list(position.split(torch.bincount(layer, minlength=len(self.routes)).tolist()))


@dataclass(frozen=True)
class RoutingTable:
    """Rows as in `RoutingStatistics`: V tokens, then the contexts kept."""

    config: VARConfig
    vocab_size: int
    num_experts: int
    model_sha256: str
    context_keys: Tensor  # (R - V,) int64, sorted
    experts: Tensor  # (L, R, K) int64; num_experts leaves an expert out
    weights: Tensor  # (L, R, K) float32
    bypass: Tensor  # (L, R) bool: the row is sure enough to do without the router
    ratio_thresholds: Tensor  # (L,) float32: one expert where second / first weight is at most this
    confidence_threshold: Tensor  # () float64

    def sha256(self) -> str:
        """Hash of the content: every tensor, the configuration and the model's hash."""
        digest = hashlib.sha256(json.dumps(self._metadata(), sort_keys=True).encode())
        for name in _TENSORS:
            tensor = getattr(self, name).contiguous()
            digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
            digest.update(tensor.cpu().reshape(-1).view(torch.uint8).numpy())
        return digest.hexdigest()

    @property
    def layers(self) -> int:
        return len(self.bypass)

    @property
    def top_k(self) -> int:
        return self.experts.shape[-1]

    def to(self, device: torch.device | str) -> Self:
        """The table with its tensors on a device."""
        return replace(self, **{name: getattr(self, name).to(device) for name in _TENSORS})

    def plan(self, token_ids: Tensor, mask: Tensor | None = None, before: Tensor | None = None) -> Plan:
        """Decide every call of (B, S) token ids that needs no router.

        Args:
            token_ids: (B, S).
            mask: (B, S) bool, False for padding, which is given no expert.
            before: (B,) the token before the first column, -1 where there is none.
        """
        rows, cached = find_rows(self.context_keys, self.vocab_size, token_ids, mask, before)
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
        """Write the table; a file of that name is replaced at once or not at all."""
        tensors = {name: getattr(self, name).contiguous() for name in _TENSORS}
        with atomic_file(path) as temporary:
            save_file(tensors, temporary, metadata=self._metadata() | {"sha256": self.sha256()})

    @classmethod
    def load(cls, path: Path | str) -> Self:
        """Read a table and check it against the hash it was saved with.

        Raises:
            UserError: there is no such file, it is no table, or the content does not match the hash.
        """
        if not Path(path).is_file():
            raise UserError(f"{path} is missing: build a routing table first")
        try:
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
            recorded = metadata["sha256"]
        except Exception as error:  # any byte of the file may be damaged, so anything may be raised
            raise UserError(f"{path} is no intact routing table: {error}") from None
        if table.sha256() != recorded:
            raise UserError(f"{path}: the table's content does not match its hash {recorded[:12]}")
        if not table._is_consistent():
            raise UserError(f"{path} is no intact routing table: its tensors differ in layers or rows")
        return table

    def _is_consistent(self) -> bool:
        layers, rows = self.bypass.shape
        return (
            rows == self.vocab_size + len(self.context_keys)
            and self.experts.shape == self.weights.shape == (layers, rows, self.top_k)
            and self.ratio_thresholds.shape == (layers,)
        )

    def _metadata(self) -> dict[str, str]:
        return {
            "config": self.config.decisions_json(),
            "vocab_size": str(self.vocab_size),
            "num_experts": str(self.num_experts),
            "model_sha256": self.model_sha256,
        }


def build_table(
    statistics: RoutingStatistics, config: VARConfig, held_out: Tensor | None = None
) -> RoutingTable:
    """Freeze the decisions of every row and set the thresholds.

    No model is needed for either. Held-out text is needed for thresholds that the configuration
    leaves open; see `set_thresholds`.

    Args:
        held_out: (N, S) token ids that the statistics were not collected on.

    Raises:
        UserError: there is no held-out text, or a layer named in the configuration is missing.
    """
    num_experts = statistics.probability_sum.shape[2]
    rows = estimate_rows(statistics, config)
    calls = rows.calls
    if held_out is not None and held_out.numel():
        calls = held_out_calls(rows, statistics.vocab_size, held_out)
    elif config.confidence_threshold is None or config.layer_skip_ratios is None:
        raise UserError("no held-out sequences to set the thresholds on")
    threshold, ratios = set_thresholds(rows, config, calls)
    ratio_thresholds = ratios.float()
    bypass = rows.confidence > threshold
    if config.entropy_threshold is not None:
        bypass &= rows.entropy <= config.entropy_threshold

    dropped = torch.zeros_like(rows.experts, dtype=torch.bool)  # (L, R, K)
    dropped[..., 1:] = rows.ratio.float() <= ratio_thresholds[:, None, None]
    weights = share_out(rows.weights, dropped, statistics.normalized).float().contiguous()
    weights[~bypass] = 0
    dropped |= ~bypass[..., None]
    return RoutingTable(
        config=config.decisions(),
        vocab_size=statistics.vocab_size,
        num_experts=num_experts,
        model_sha256=statistics.model_sha256,
        context_keys=rows.context_keys,
        experts=rows.experts.masked_fill(dropped, num_experts),
        weights=weights,
        bypass=bypass,
        ratio_thresholds=ratio_thresholds,
        confidence_threshold=threshold,
    )


def share_out(weights: Tensor, dropped: Tensor, normalized: bool) -> Tensor:
    """Give the weight of the experts left out to those that stay, in proportion.

    Args:
        weights: (..., K), the first one's at [..., 0].
        dropped: (..., K) bool, never the first.
        normalized: the weights of a call sum to 1; else to what they summed to before.
    """
    kept = weights.masked_fill(dropped, 0)
    shared = kept / kept.sum(-1, keepdim=True)
    if not normalized:
        shared = shared * weights.sum(-1, keepdim=True)
    return torch.where(dropped.any(-1, keepdim=True), shared, weights)
