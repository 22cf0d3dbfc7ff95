"""The router that VAR puts in a layer's place: the plan where there is one, the stock rule elsewhere."""

import functools

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from var_moe.routing.table import Plan, RoutingTable, share_out


class CurrentPlan:
    """The plan of the forward pass under way, shared by the routers of all layers."""

    def __init__(self) -> None:
        self.plan: Plan | None = None  # None: no token ids are known, every call is learned
        self.learned: list[Tensor] = []  # per layer, (n,) positions of calls that the plan leaves open
        self.record_logits = False  # the caller asked for router logits: compute them all
        self.sampled: list[Tensor] | None = None  # per layer, (n,) positions of calls to audit
        self.experts_used: list[Tensor] = []  # per layer, number of expert calls without a plan
        self.agreed: list[Tensor] = []  # per layer, audited calls whose first expert is the router's


class VARRouter(nn.Module):
    """Computes the stock router only for the calls that the plan leaves to it.

    It shares the stock router's weight. `stand_in_class` makes it a subclass of the
    stock router's class too, so that `output_router_logits` records it.

    Args:
        stock: the router it stands in for.
        layer: its index among the layers with experts.
        table: a learned call leaves out the experts whose weight is at most the table's ratio
            of its first one's.
    """

    def __init__(self, stock: nn.Module, *, layer: int, table: RoutingTable, current: CurrentPlan) -> None:
        nn.Module.__init__(self)  # the stock router's would allocate a weight
        self.top_k, self.num_experts, self.hidden_dim = stock.top_k, stock.num_experts, stock.hidden_dim
        self.normalized = getattr(stock, "norm_topk_prob", True)
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
        if self.current.plan is None:
            logits = F.linear(hidden_states, self.weight)
            weights, indices = self._choose(logits)
            self.current.experts_used.append((indices < self.num_experts).sum())
            return logits, weights, indices
        return self._follow(self.current.plan, hidden_states)

    def _follow(self, plan: Plan, hidden_states: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Complete the plan: its learned calls are decided here, in place."""
        device = hidden_states.device
        weights = plan.weights[self.layer].to(device)  # (T, K)
        indices = plan.experts[self.layer].to(device)
        if self.current.sampled is not None:
            self._audit(hidden_states, indices, self.current.sampled[self.layer].to(device))
        learned, all_logits = self.current.learned[self.layer].to(device), self.current.record_logits
        if not len(learned) and not all_logits:
            return hidden_states.new_empty(0, self.num_experts), weights, indices
        logits = F.linear(hidden_states if all_logits else hidden_states[learned], self.weight)
        weights[learned], indices[learned] = self._choose(logits[learned] if all_logits else logits)
        if plan.weights.device != device:  # a layer on another device decided on a copy
            plan.weights[self.layer].copy_(weights)
            plan.experts[self.layer].copy_(indices)
        return logits, weights, indices

    def _audit(self, hidden_states: Tensor, indices: Tensor, sampled: Tensor) -> None:
        first = F.linear(hidden_states[sampled], self.weight).argmax(-1)
        self.current.agreed.append((first == indices[sampled, 0]).sum())

    def _choose(self, logits: Tensor) -> tuple[Tensor, Tensor]:
        """The stock rule, then without the experts that hardly count."""
        top = torch.topk(logits.float().softmax(-1), self.top_k, dim=-1)
        weights, indices = top.values, top.indices
        if self.normalized:
            weights = weights / weights.sum(-1, keepdim=True)
        if self.ratio_threshold < 0:
            return weights, indices
        return skip_by_ratio(weights, indices, self.ratio_threshold, self.num_experts, self.normalized)


def skip_by_ratio(
    weights: Tensor, indices: Tensor, threshold: float, num_experts: int, normalized: bool = True
) -> tuple[Tensor, Tensor]:
    """Leave out the experts whose weight is at most `threshold` of the first one's.

    Args:
        weights, indices: (T, K), strongest first.

    Returns:
        Both anew: the others share the weight, and `num_experts` stands in a slot that is left out.
    """
    dropped = weights <= threshold * weights[:, :1]
    dropped[:, 0] = False
    return share_out(weights, dropped, normalized), indices.masked_fill(dropped, num_experts)


@functools.cache
def stand_in_class(stock: type[nn.Module]) -> type[VARRouter]:
    """`VARRouter` as a subclass of a stock router's class."""
    return type(f"VAR{stock.__name__}", (VARRouter, stock), {})
