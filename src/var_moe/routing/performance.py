"""Counts of who decided the calls of a wrapped model, and how many experts they took."""

from typing import Any

import torch
from torch import Tensor

from tinyguardrail_common.errors import UserError
from var_moe.routing.table import CACHED, FAST, LEARNED, Plan

_ROUTES = {"fast_share": FAST, "cached_share": CACHED, "learned_share": LEARNED}


class RouteCounter:
    """Calls by route and experts used, per layer, padding left out."""

    def __init__(self, layers: int) -> None:
        self.routes = torch.zeros(layers, len(_ROUTES), dtype=torch.int64)
        self.experts = torch.zeros(layers, dtype=torch.int64)

    def add(self, plan: Plan, num_experts: int) -> None:
        """Count one forward pass by its plan, as the routers completed it."""
        counts = [(plan.routes == route).sum(1) for route in _ROUTES.values()]
        self.routes += torch.stack(counts, dim=1).cpu()
        self.experts += (plan.experts < num_experts).sum((1, 2)).cpu()

    def add_unplanned(self, tokens: int, experts_used: list[Tensor]) -> None:
        """Count one forward pass over `tokens` that the router decided alone."""
        self.routes[:, LEARNED] += tokens
        self.experts += torch.stack([used.cpu() for used in experts_used])

    def stats(self) -> dict[str, Any]:
        """Shares of calls by route and experts per call, padding left out.

        Returns:
            `tokens`, the three shares, `experts_per_call` over all layers, and `layers`, a
            list of the same four numbers per layer.

        Raises:
            UserError: nothing has been counted.
        """
        tokens = int(self.routes[0].sum())
        if not tokens:
            raise UserError("no token has been routed since the last reset")
        layers = [
            {name: int(counts[route]) / tokens for name, route in _ROUTES.items()}
            | {"experts_per_call": int(used) / tokens}
            for counts, used in zip(self.routes, self.experts, strict=True)
        ]
        mean = {name: sum(layer[name] for layer in layers) / len(layers) for name in layers[0]}
        return {"tokens": tokens, **mean, "layers": layers}


def summary(stats: dict[str, Any]) -> str:
    """The numbers of `RouteCounter.stats` as a table of lines, one per layer and one over all."""
    lines = [
        f"{stats['tokens']} tokens",
        f"{'layer':>5}  {'fast':>6}  {'cached':>6}  {'learned':>7}  experts",
    ]
    named = [(str(index), layer) for index, layer in enumerate(stats["layers"])]
    for name, layer in [*named, ("all", stats)]:
        lines.append(
            f"{name:>5}  {layer['fast_share']:6.1%}  {layer['cached_share']:6.1%}  "
            f"{layer['learned_share']:7.1%}  {layer['experts_per_call']:7.2f}"
        )
    return "\n".join(lines)
