"""Puts VAR into a Mixtral model and takes it out again."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from transformers import MixtralForCausalLM

from tinyguardrail.errors import UserError
from var_moe.config import VARConfig
from var_moe.experts import EXPERTS_IMPLEMENTATION
from var_moe.router import CurrentPlan, VARRouter
from var_moe.statistics import NO_CONTEXT, model_sha256
from var_moe.table import CACHED, FAST, LEARNED, RoutingTable

_ROUTES = {"fast_share": FAST, "cached_share": CACHED, "learned_share": LEARNED}


class VARMixtralWrapper:
    """A Mixtral whose routers follow a frozen table.

    With VAR disabled the model is the one that was passed in: the same modules, the same
    experts kernel, no hook. A call with `inputs_embeds` has no token ids to look up, so the
    stock router decides all of it. A decoding step finds its context in the sequence that
    `generate` hands over (beams included); in a hand-written loop over a cache the context
    is the last token of the call before, if batch and length agree.

    Args:
        model: a `MixtralForCausalLM`.
        table: built from this model's routing statistics.
        config: None for the table's; given, it has to be the table's.

    Raises:
        UserError: table and model, or table and configuration, do not belong together.
    """

    def __init__(
        self, model: MixtralForCausalLM, table: RoutingTable, config: VARConfig | None = None
    ) -> None:
        found = model_sha256(model)
        if found != table.model_sha256:
            raise UserError(f"the table is of model {table.model_sha256[:12]}, this model is {found[:12]}")
        if config is not None and config != table.config:
            raise UserError(f"the table was built for another configuration: {table.config.to_json()}")
        if model.config.hidden_act != "silu":
            raise UserError(f"experts with {model.config.hidden_act!r} activation are not supported")
        self.model = model
        self.table = table
        self.config = table.config
        self._current = CurrentPlan()
        self._stock: list[Any] = []  # the routers taken out
        self._undo: list[Callable[[], None]] = []
        self._before: Tensor | None = None  # (B,) context handed over by generate
        self._last: tuple[int, Tensor] | None = None  # tokens seen, (B,) the last of them
        self.reset_performance_stats()
        self.enable_var()

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.model(*args, **kwargs)

    forward = __call__

    def generate(self, *args: Any, **kwargs: Any) -> Any:
        return self.model.generate(*args, **kwargs)

    @property
    def enabled(self) -> bool:
        return bool(self._undo)

    def enable_var(self) -> None:
        """Route by the table from now on; nothing happens if that is so already."""
        if self.enabled:
            return
        implementation = self.model.config._experts_implementation
        prepare = self.model.prepare_inputs_for_generation
        self.patch_layers()
        self.model.set_experts_implementation(EXPERTS_IMPLEMENTATION)
        before = self.model.model.register_forward_pre_hook(self._plan_call, with_kwargs=True)
        after = self.model.model.register_forward_hook(self._count_call)
        self.model.prepare_inputs_for_generation = self._remember_context(prepare)
        self._undo = [
            self._unpatch_layers,
            lambda: self.model.set_experts_implementation(implementation),
            before.remove,
            after.remove,
            lambda: delattr(self.model, "prepare_inputs_for_generation"),
        ]

    def disable_var(self) -> None:
        """Give the model back as it was."""
        for undo in self._undo:
            undo()
        self._undo = []
        self._before = self._last = None

    def patch_layers(self) -> None:
        """Put a `VARRouter` in the place of every layer's router."""
        for index, layer in enumerate(self.model.model.layers):
            self._stock.append(layer.mlp.gate)
            layer.mlp.gate = VARRouter(layer.mlp.gate, layer=index, table=self.table, current=self._current)

    def get_performance_stats(self) -> dict[str, Any]:
        """Shares of calls by route and experts per call since the last reset, padding left out.

        Returns:
            `tokens`, the three shares, `experts_per_call` over all layers, and `layers`, a
            list of the same four numbers per layer.

        Raises:
            UserError: nothing has been counted.
        """
        tokens = int(self._routes[0].sum())
        if not tokens:
            raise UserError("no token has been routed since the last reset")
        layers = [
            {name: int(counts[route]) / tokens for name, route in _ROUTES.items()}
            | {"experts_per_call": int(used) / tokens}
            for counts, used in zip(self._routes, self._experts, strict=True)
        ]
        mean = {name: sum(layer[name] for layer in layers) / len(layers) for name in layers[0]}
        return {"tokens": tokens, **mean, "layers": layers}

    def reset_performance_stats(self) -> None:
        layers = self.model.config.num_hidden_layers
        self._routes = torch.zeros(layers, len(_ROUTES), dtype=torch.int64)
        self._experts = torch.zeros(layers, dtype=torch.int64)

    def _unpatch_layers(self) -> None:
        for layer, stock in zip(self.model.model.layers, self._stock, strict=True):
            layer.mlp.gate = stock
        self._stock = []

    def _remember_context(self, prepare: Callable[..., dict[str, Any]]) -> Callable[..., dict[str, Any]]:
        """`prepare_inputs_for_generation` that notes the token before those about to run."""

        @functools.wraps(prepare)
        def wrapped(input_ids: Tensor, *args: Any, **kwargs: Any) -> dict[str, Any]:
            inputs = prepare(input_ids, *args, **kwargs)
            ids = inputs.get("input_ids")
            if ids is not None and input_ids.shape[1] > ids.shape[1]:
                self._before = input_ids[:, -ids.shape[1] - 1]
            return inputs

        return wrapped

    def _plan_call(self, module: Any, args: tuple, kwargs: dict[str, Any]) -> None:
        """Forward pre-hook of the decoder: plan every layer's calls at once."""
        token_ids = args[0] if args else kwargs.get("input_ids")
        self._current.experts_used = []
        self._current.record_logits = bool(kwargs.get("output_router_logits"))
        self._current.plan = None
        handed_over, self._before = self._before, None
        if token_ids is None:
            self._last = None
            return
        cache = kwargs.get("past_key_values")
        past = cache.get_seq_length() if cache is not None else 0
        before = None
        if past and handed_over is not None:
            before = handed_over
        elif past and self._last is not None and self._last[0] == past:
            before = self._last[1] if len(self._last[1]) == len(token_ids) else None

        mask = kwargs.get("attention_mask")
        mask = mask.bool() if isinstance(mask, Tensor) and mask.dim() == 2 else None
        length = token_ids.shape[1]
        if mask is not None and before is not None and mask.shape[1] > length:
            before = before.masked_fill(~mask[:, -length - 1], NO_CONTEXT)
        self._current.plan = self.table.plan(token_ids, None if mask is None else mask[:, -length:], before)
        self._last = (past + length, token_ids[:, -1])

    def _count_call(self, module: Any, args: tuple, output: Any) -> None:
        """Forward hook of the decoder: add up what was decided by whom."""
        plan = self._current.plan
        used = torch.stack(self._current.experts_used)
        if plan is None:
            self._routes[:, LEARNED] += int(output.last_hidden_state.shape[:2].numel())
        else:
            self._routes += torch.stack([(plan.routes == route).sum(1) for route in _ROUTES.values()], dim=1)
        self._experts += used
        self._current.plan = None
