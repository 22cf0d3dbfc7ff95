"""Puts VAR into a mixture-of-experts model and takes it out again."""

import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

from torch import Tensor
from transformers import PreTrainedModel

from tinyguardrail_common.errors import UserError
from tinyguardrail_common.files import write_json
from var_moe.mixture.blocks import check_length, moe_blocks, routing_of
from var_moe.mixture.experts import EXPERTS_IMPLEMENTATION
from var_moe.routing.audit import Audit
from var_moe.routing.config import VARConfig
from var_moe.routing.context_memory import ContextMemory
from var_moe.routing.performance import RouteCounter, summary
from var_moe.routing.recorder import CallRecorder
from var_moe.routing.router import CurrentPlan, VARRouter, stand_in_class
from var_moe.routing.statistics import model_sha256
from var_moe.routing.table import CACHED, FAST, RoutingTable


class VARMixtralWrapper:
    """A Mixtral (or OLMoE, Qwen2-MoE, Qwen3-MoE) whose routers follow a frozen table.

    With VAR disabled the model is the one that was passed in: the same modules, the same
    experts kernel, no hook. A call with `inputs_embeds` has no token ids to look up, so the
    stock router decides all of it. A decoding step finds its context in the sequence that
    `generate` hands over (beams included); in a hand-written loop over a cache the context
    is the last token of the call before, if batch and length agree.

    Args:
        model: a causal language model whose routers `blocks.ROUTERS` names.
        table: built from this model's routing statistics.
        config: None for the table's; given, it has to decide as the table's does, and says how
            to run: enabled from the start, calls counted, online cache.
        log_path: where to write a `RoutingLog` of every forward pass; None for none. `close`
            completes it.
        audit_rate: share of the calls decided without the router that are put to it too.
        audit_key: of the audit's sample; None for a random one.

    Raises:
        UserError: table and model, or table and configuration, do not belong together; the
            model is wrapped already; the log's file exists.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        table: RoutingTable,
        config: VARConfig | None = None,
        *,
        log_path: Path | str | None = None,
        audit_rate: float = 0.0,
        audit_key: bytes | None = None,
    ) -> None:
        self.config = table.config if config is None else config
        _check_fits(model, table, self.config)
        self.model, self.table = model, table
        self._current = CurrentPlan()
        self._context = ContextMemory()
        self._audit = None
        if audit_rate:
            self._audit = Audit(audit_rate, secrets.token_bytes(16) if audit_key is None else audit_key)
        self._recorder = CallRecorder(table, self.config, log_path, self._audit)
        self._undo: list[Callable[[], None]] = []
        self.reset_performance_stats()
        if self.config.enable_var:
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
        self.patch_layers()

    def disable_var(self) -> None:
        """Give the model back as it was; nothing happens if that is so already."""
        for undo in self._undo:
            undo()
        self._undo = []
        self._context.clear()

    def patch_layers(self) -> None:
        """Put a `VARRouter` in every layer, the kernel and the hooks; `disable_var` takes them out."""
        if self.enabled:
            return
        stock = [block.gate for block in moe_blocks(self.model)]
        for index, block in enumerate(moe_blocks(self.model)):
            replacement = stand_in_class(type(block.gate))
            block.gate = replacement(block.gate, layer=index, table=self.table, current=self._current)
        implementation = self.model.config._experts_implementation
        self.model.set_experts_implementation(EXPERTS_IMPLEMENTATION)
        before = self.model.model.register_forward_pre_hook(self._plan_call, with_kwargs=True)
        after = self.model.model.register_forward_hook(self._finish_call)
        prepare = self.model.prepare_inputs_for_generation
        self.model.prepare_inputs_for_generation = self._context.watch(prepare)

        def put_back() -> None:
            for block, gate in zip(moe_blocks(self.model), stock, strict=True):
                block.gate = gate

        self._undo = [
            put_back,
            lambda: self.model.set_experts_implementation(implementation),
            before.remove,
            after.remove,
            lambda: delattr(self.model, "prepare_inputs_for_generation"),
        ]

    def get_performance_stats(self) -> dict[str, Any]:
        """Shares of calls by route and experts per call since the last reset; see `RouteCounter.stats`.

        Raises:
            UserError: nothing has been counted.
        """
        if not self.config.track_performance:
            raise UserError("calls are not counted: set track_performance in the configuration")
        return self._counter.stats()

    def audit_result(self) -> dict[str, Any]:
        """Agreement with the stock router on the audited calls since the last reset; see `Audit.result`.

        Raises:
            UserError: no audit was asked for.
        """
        if self._audit is None:
            raise UserError("no call is audited: give the wrapper an audit_rate")
        return self._audit.result()

    @property
    def audit_key(self) -> bytes | None:
        """Key of the audit's sample; with it, `verify` checks which calls a log says were audited."""
        return None if self._audit is None else self._audit.key

    def print_performance_summary(self) -> None:
        """Shares and experts per call by layer, and the audit where there is one, on standard output."""
        print(summary(self.get_performance_stats()))
        if self._audit is not None:
            audit = self._audit.result()
            low, high = audit["interval"]
            print(f"audit: {audit['agreed']} of {audit['sampled']} calls agree [{low:.1%}, {high:.1%}]")

    def save_performance_stats(self, path: Path | str) -> None:
        """Write the statistics as JSON, with the table's hash, the configuration and the audit."""
        content = {
            "table_sha256": self.table.sha256(),
            "config": self.config.model_dump(mode="json"),
            **self.get_performance_stats(),
        }
        if self._audit is not None:
            content["audit"] = self._audit.result()
        write_json(path, content)

    def reset_performance_stats(self) -> None:
        """Forget the counts and the audit's tally."""
        self._counter = RouteCounter(self.table.layers)
        if self._audit is not None:
            self._audit.reset()

    def reset(self) -> None:
        """Forget everything that came from earlier calls: counts, contexts, the online cache."""
        self.reset_performance_stats()
        self._context.clear()
        self._recorder.reset()

    def close(self) -> None:
        """Complete the log, if one is written; the wrapper has to be disabled to be used further."""
        self._recorder.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _plan_call(self, module: Any, args: tuple, kwargs: dict[str, Any]) -> None:
        """Forward pre-hook of the decoder: plan every layer's calls at once."""
        current = self._current
        current.plan = current.sampled = None
        current.experts_used, current.agreed = [], []
        current.record_logits = bool(kwargs.get("output_router_logits"))
        token_ids = args[0] if args else kwargs.get("input_ids")
        cache = kwargs.get("past_key_values")
        past = cache.get_seq_length() if cache is not None else 0
        if token_ids is None:
            self._context.clear()
            if (embeddings := kwargs.get("inputs_embeds")) is not None:
                check_length(self.model, past + embeddings.shape[1])
            return
        mask = kwargs.get("attention_mask")
        mask = mask.bool() if isinstance(mask, Tensor) and mask.dim() == 2 else None
        before = self._context.before(token_ids, past, mask)
        check_length(self.model, past + token_ids.shape[1])
        mask = None if mask is None else mask[:, -token_ids.shape[1] :]
        current.plan = plan = self._recorder.plan(token_ids, mask, before)
        current.learned = plan.learned()
        if self._audit is not None:
            current.sampled = self._audit.draw((plan.routes == FAST) | (plan.routes == CACHED))

    def _finish_call(self, module: Any, args: tuple, output: Any) -> None:
        """Forward hook of the decoder: count and record what was decided by whom."""
        current, shape = self._current, tuple(output.last_hidden_state.shape[:2])
        if self.config.track_performance:
            if current.plan is None:
                self._counter.add_unplanned(shape[0] * shape[1], current.experts_used)
            else:
                self._counter.add(current.plan, self.table.num_experts)
        audited = None
        if current.sampled is not None:
            audited = (sum(map(len, current.sampled)), sum(int(agreed) for agreed in current.agreed))
            self._audit.add(*audited)
        self._recorder.record(current.plan, shape, audited)
        current.plan = current.sampled = None


def _check_fits(model: PreTrainedModel, table: RoutingTable, config: VARConfig) -> None:
    routing = routing_of(model)
    if any(isinstance(block.gate, VARRouter) for block in moe_blocks(model)):
        raise UserError("the model is wrapped already: disable VAR on the other wrapper first")
    of_table = (table.layers, table.num_experts, table.top_k, table.vocab_size)
    of_model = (routing.layers, routing.num_experts, routing.top_k, model.config.vocab_size)
    if of_table != of_model:
        raise UserError(
            f"the table has (layers, experts, experts per token, vocabulary) {of_table}, "
            f"the model {of_model}: build the table from this model's statistics"
        )
    found = model_sha256(model)
    if found != table.model_sha256:
        raise UserError(f"the table is of model {table.model_sha256[:12]}, this model is {found[:12]}")
    if config.decisions() != table.config.decisions():
        raise UserError(f"the table was built for another configuration: {table.config.decisions_json()}")
    if model.config.hidden_act != "silu":
        raise UserError(f"experts with {model.config.hidden_act!r} activation are not supported")
