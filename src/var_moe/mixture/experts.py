"""Experts function of VAR: tokens grouped by expert, one or two experts a token in one pass.

transformers lets a model swap its experts kernel by name. This one differs from the stock
eager kernel in three ways: calls are sorted once instead of searched per expert, the
weighted sum is accumulated in fp32, and the gradients of the stacked weights are written
in place instead of summed from one zero-filled tensor per expert.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers.integrations.moe import ALL_EXPERTS_FUNCTIONS

EXPERTS_IMPLEMENTATION = "var_grouped"


def grouped_experts(self: nn.Module, hidden: Tensor, indices: Tensor, weights: Tensor) -> Tensor:
    """Weighted sum of each token's experts.

    Args:
        self: an experts module with `gate_up_proj` (E, 2I, H), `down_proj` (E, H, I) and
            SiLU between them, as Mixtral has it.
        hidden: (T, H).
        indices: (T, K) experts of each token; `num_experts` leaves a slot out.
        weights: (T, K) routing weights; those of left-out slots are ignored.

    Returns:
        (T, H), zero for a token whose slots are all left out.
    """
    dtype = (
        torch.get_autocast_dtype(hidden.device.type)
        if torch.is_autocast_enabled(hidden.device.type)
        else hidden.dtype
    )
    if len(hidden) == 1:
        return _one_token(self, hidden.to(dtype), indices[0].tolist(), weights[0]).to(hidden.dtype)
    top_k = indices.shape[1]
    flat = indices.reshape(-1)  # (T * K)
    order = torch.argsort(flat, stable=True)
    counts = torch.bincount(flat, minlength=self.num_experts + 1).tolist()[: self.num_experts]
    order = order[: sum(counts)]  # left-out slots sort last
    tokens = order // top_k
    outputs = _GroupedFeedForward.apply(
        hidden[tokens].to(dtype), self.gate_up_proj.to(dtype), self.down_proj.to(dtype), counts
    )  # (calls, H)
    weighted = outputs * weights.reshape(-1)[order, None].float()
    total = torch.zeros(hidden.shape, dtype=torch.float32, device=hidden.device)
    return total.index_add(0, tokens, weighted).to(hidden.dtype)


def _one_token(self: nn.Module, hidden: Tensor, experts: list[int], weights: Tensor) -> Tensor:
    """The same sum for (1, H), as in decoding: nothing is sorted, only the experts called are read."""
    total = torch.zeros(hidden.shape, dtype=torch.float32, device=hidden.device)
    for expert, weight in zip(experts, weights.float(), strict=True):
        if expert < self.num_experts:
            gate, up = F.linear(hidden, self.gate_up_proj[expert].to(hidden.dtype)).chunk(2, dim=-1)
            output = F.linear(F.silu(gate) * up, self.down_proj[expert].to(hidden.dtype))
            total = total + output * weight
    return total


class _GroupedFeedForward(torch.autograd.Function):
    """SiLU-gated feed-forward of rows sorted by expert; `counts` holds the rows of each expert."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, gate_up_proj: Tensor, down_proj: Tensor, counts: list[int]) -> Tensor:
        outputs = torch.empty_like(rows)  # (N, H)
        projected = []  # (count, 2I) of each expert
        for expert, span in _spans(counts):
            gate_up = F.linear(rows[span], gate_up_proj[expert])
            gate, up = gate_up.chunk(2, dim=-1)
            torch.mm(F.silu(gate).mul_(up), down_proj[expert].t(), out=outputs[span])
            if any(ctx.needs_input_grad):
                projected.append(gate_up)
        ctx.save_for_backward(rows, gate_up_proj, down_proj, *projected)
        ctx.counts = counts
        return outputs

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        rows, gate_up_proj, down_proj, *projected = ctx.saved_tensors
        rows_grad = torch.empty_like(rows)
        gate_up_grad, down_grad = torch.empty_like(gate_up_proj), torch.empty_like(down_proj)
        for expert, count in enumerate(ctx.counts):
            if count == 0:
                gate_up_grad[expert].zero_()
                down_grad[expert].zero_()
        for (expert, span), gate_up in zip(_spans(ctx.counts), projected, strict=True):
            gate, up = gate_up.chunk(2, dim=-1)
            silu = F.silu(gate)
            torch.mm(grad[span].t(), silu * up, out=down_grad[expert])
            inner = grad[span] @ down_proj[expert]  # (count, I)
            inner_grad = torch.cat([torch.ops.aten.silu_backward(inner * up, gate), inner * silu], dim=-1)
            torch.mm(inner_grad.t(), rows[span], out=gate_up_grad[expert])
            torch.mm(inner_grad, gate_up_proj[expert], out=rows_grad[span])
        return rows_grad, gate_up_grad, down_grad, None


def _spans(counts: list[int]) -> list[tuple[int, slice]]:
    """(expert, its rows) of every expert that has any."""
    spans, start = [], 0
    for expert, count in enumerate(counts):
        if count:
            spans.append((expert, slice(start, start + count)))
        start += count
    return spans


ALL_EXPERTS_FUNCTIONS.register(EXPERTS_IMPLEMENTATION, grouped_experts)
