"""Plans a forward pass by table and online cache, and writes down what was planned."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from var_moe.audit import Audit
from var_moe.config import VARConfig
from var_moe.online import cacheable_keys, online_cache, remembered
from var_moe.routing_log import RoutingLog, call_record, decisions_sha256, pack
from var_moe.table import Plan, RoutingTable


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
        self._inputs: tuple[Tensor, Tensor | None, Tensor | None] | None = None  # ids, mask, before
        self._keys: Tensor | None = None
        self._decisions = ""

    def plan(self, token_ids: Tensor, mask: Tensor | None, before: Tensor | None) -> Plan:
        """Decide (B, S) token ids; see `RoutingTable.plan`. An online cache is asked on the CPU."""
        if self.cache is not None:
            token_ids, mask, before = (
                None if part is None else part.cpu() for part in (token_ids, mask, before)
            )
        table = self._table(token_ids.device)
        plan = table.plan(token_ids, mask, before)
        if self.cache is not None:
            self._keys = cacheable_keys(table, token_ids, mask, before)
            self.cache.decide(plan, self._keys)
        if self.log is not None:
            self._decisions = decisions_sha256(plan)  # now: the routers complete the plan in place
        self._inputs = token_ids, mask, before
        return plan

    def skip(self) -> None:
        """The pass about to run has no token ids."""
        self._inputs = None

    def record(self, plan: Plan | None, shape: tuple[int, int], audited: tuple[int, int] | None) -> None:
        """Learn from a completed plan, and write the pass down.

        Args:
            plan: as the routers completed it; None where there were no token ids.
            shape: of the batch, (B, S).
            audited: calls audited and how many of them agreed.
        """
        if plan is None or self._inputs is None:
            if self.log is not None:
                self.log.append("call", call_record(None, shape))
            return
        parts: dict[str, Any] = {} if audited is None else {"audit": list(audited)}
        if self.cache is not None:
            parts["remembered"] = self._remember(plan)
        if self.log is not None:
            token_ids, mask, before = self._inputs
            content = call_record(
                token_ids, shape, mask=mask, before=before, decisions=self._decisions, **parts
            )
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
        experts, weights = remembered(plan, positions)
        self.cache.remember(plan, self._keys, positions, experts, weights)
        return {"experts": pack(experts.to(torch.int16)), "weights": pack(weights)}

    def _table(self, device: torch.device) -> RoutingTable:
        if device not in self.tables:
            self.tables[device] = self.tables[torch.device("cpu")].to(device)
        return self.tables[device]


def _header(table: RoutingTable, config: VARConfig, audit: Audit | None) -> dict[str, Any]:
    header: dict[str, Any] = {
        "table_sha256": table.sha256(),
        "model_sha256": table.model_sha256,
        "config": config.to_json(),
    }
    if audit is not None:  # the key's hash binds the sample before it is drawn; the key is shown after
        header["audit"] = {"rate": audit.rate, "key_sha256": hashlib.sha256(audit.key).hexdigest()}
    return header
