"""The router that VAR puts in a layer's place: the plan where there is one, the stock rule elsewhere."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers.models.mixtral.modeling_mixtral import MixtralTopKRouter

from var_moe.table import LEARNED, Plan, RoutingTable


class CurrentPlan:
    """The plan of the forward pass under way, shared by the routers of all layers."""

    def __init__(self) -> None:
        self.plan: Plan | None = None  # None: no token ids are known, every call is learned
        self.record_logits = False  # the caller asked for router logits: compute them all
        self.experts_used: list[Tensor] = []  # per layer, number of expert calls


class VARRouter(MixtralTopKRouter):
    """Computes the stock router only for the calls that the plan leaves to it.

    A subclass, so that `output_router_logits` records it; it shares the stock router's weight.

    Args:
        stock: the router it stands in for.
        layer: its index.
        ratio_threshold: a learned call whose second weight is at most this part of its
            first uses one expert.
    """

    def __init__(
        self, stock: MixtralTopKRouter, *, layer: int, table: RoutingTable, current: CurrentPlan
    ) -> None:
        nn.Module.__init__(self)  # the parent's would allocate a weight
        self.top_k, self.num_experts, self.hidden_dim = stock.top_k, stock.num_experts, stock.hidden_dim
        self.weight = stock.weight
        # transformers records router logits by a hook that it installs once per module: the
        # stand-in has it too, whichever of the two was there at the time.
        self._forward_hooks = stock._forward_hooks
        self._forward_hooks_with_kwargs = stock._forward_hooks_with_kwargs
        self._forward_hooks_always_called = stock._forward_hooks_always_called
        self.layer = layer
        self.ratio_threshold = float(table.ratio_thresholds[layer])
        self.current = current

    def forward(self, hidden_states: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Route (B, S, H) or (T, H).

        Returns:
            logits: (T, E), all of them if they are recorded, else those of learned calls only.
            weights: (T, K) float32.
            indices: (T, K) int64, num_experts where a slot is left out.
        """
        hidden_states = hidden_states.reshape(-1, self.hidden_dim)
        plan = self.current.plan
        if plan is None:
            logits = F.linear(hidden_states, self.weight)
            weights, indices = self._choose(logits)
        else:
            weights, indices = plan.weights[self.layer], plan.experts[self.layer]
            learned = (plan.routes[self.layer] == LEARNED).nonzero().flatten()
            if self.current.record_logits:
                logits = F.linear(hidden_states, self.weight)
                chosen = logits[learned]
            else:
                logits = chosen = F.linear(hidden_states[learned], self.weight)
            if len(learned):
                weights[learned], indices[learned] = self._choose(chosen)
        self.current.experts_used.append((indices < self.num_experts).sum())
        return logits, weights, indices

    def _choose(self, logits: Tensor) -> tuple[Tensor, Tensor]:
        """The stock rule, then one expert where the second hardly counts."""
        top = torch.topk(logits.float().softmax(-1), self.top_k, dim=-1)
        weights = top.values / top.values.sum(-1, keepdim=True)
        single = weights[:, -1] <= self.ratio_threshold * weights[:, 0]
        indices = top.indices
        indices[single, 1:] = self.num_experts
        weights[single, 0] = 1.0
        weights[single, 1:] = 0.0
        return weights, indices
