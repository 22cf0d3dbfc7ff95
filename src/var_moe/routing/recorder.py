"""Plans a forward pass by table and online cache, and writes down what was planned."""

import hashlib
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from var_moe.routing.audit import Audit
from var_moe.routing.config import VARConfig
from var_moe.routing.online import online_cache, plan_pass
from var_moe.routing.routing_log import RoutingLog, decisions_sha256, pack
from var_moe.routing.table import Plan, RoutingTable


class CallRecorder:
    """The plan of each pass, and its record in the log where one is written.

    Args:
        log_path: of a new `RoutingLog`; None for none.
        audit: whose rate and key are committed to in the log's header.
    """

    def __init__(
        self, table: RoutingTable, config: VARConfig, log_path: Path | str | None, audit: Audit | None
    ) -> None:
        self.tables = {torch.device("cpu"): table}  # by device
        self.cache = online_cache(config)
        self.log = None if log_path is None else RoutingLog(log_path, _header(table, config, audit))
        self._keys: Tensor | None = None
        self._planned: dict[str, str] = {}  # what the log says of the plan and of what it follows from

    def plan(self, token_ids: Tensor, mask: Tensor | None, before: Tensor | None) -> Plan:
        """Decide (B, S) token ids; see `RoutingTable.plan`. An online cache is asked on the CPU."""
        if self.cache is not None:
            token_ids, mask, before = (
                None if part is None else part.cpu() for part in (token_ids, mask, before)
            )
        plan, self._keys = plan_pass(self._table(token_ids.device), self.cache, token_ids, mask, before)
        if self.log is not None:  # now: the routers complete the plan in place
            self._planned = _inputs(token_ids, mask, before) | {"decisions": decisions_sha256(plan)}
        return plan

    def record(self, plan: Plan | None, shape: tuple[int, int], audited: tuple[int, int] | None) -> None:
        """Learn from a completed plan, and write the pass down.

        Args:
            plan: as the routers completed it; None where there were no token ids.
            shape: of the batch, (B, S).
            audited: calls audited and how many of them agreed.
        """
        content: dict[str, Any] = {"shape": list(shape)}
        if plan is not None:
            content |= self._planned
            if audited is not None:
                content["audit"] = list(audited)
            if self.cache is not None:
                content["remembered"] = self._remember(plan)
        if self.log is not None:
            self.log.append("call", content)

    def reset(self) -> None:
        """Empty the online cache, and say so in the log."""
        if self.cache is not None:
            self.cache.clear()
        if self.log is not None:
            self.log.append("reset", {})

    def close(self) -> None:
        if self.log is not None:
            self.log.close()

    def _remember(self, plan: Plan) -> dict[str, str]:
        positions = self.cache.new_contexts(plan, self._keys)
        experts, weights = (
            part[:, positions].transpose(0, 1).contiguous() for part in (plan.experts, plan.weights)
        )
        self.cache.remember(plan, self._keys, positions, experts, weights)
        return {"experts": pack(experts.to(torch.int16)), "weights": pack(weights)}

    def _table(self, device: torch.device) -> RoutingTable:
        if device not in self.tables:
            self.tables[device] = self.tables[torch.device("cpu")].to(device)
        return self.tables[device]


def _inputs(token_ids: Tensor, mask: Tensor | None, before: Tensor | None) -> dict[str, str]:
    inputs = {
        "tokens": (token_ids, torch.int32),
        "mask": (mask, torch.uint8),
        "before": (before, torch.int32),
    }
    return {name: pack(part.to(dtype)) for name, (part, dtype) in inputs.items() if part is not None}


def _header(table: RoutingTable, config: VARConfig, audit: Audit | None) -> dict[str, Any]:
    header: dict[str, Any] = {
        "table_sha256": table.sha256(),
        "model_sha256": table.model_sha256,
        "config": config.to_json(),
    }
    if audit is not None:  # the key's hash binds the sample before it is drawn; the key is shown after
        header["audit"] = {"rate": audit.rate, "key_sha256": hashlib.sha256(audit.key).hexdigest()}
    return header
