"""Replay: do the decisions in a log follow from the table and the token ids? No model is needed."""

import hashlib
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from torch import Tensor

from var_moe.routing.audit import Audit
from var_moe.routing.config import VARConfig
from var_moe.routing.online import online_cache, plan_pass
from var_moe.routing.routing_log import FORMAT, LogError, decisions_sha256, read_log, unpack
from var_moe.routing.table import LEARNED, PADDING, Plan, RoutingTable


@dataclass(frozen=True)
class Verification:
    """A log that holds; calls are router calls, one per token and layer, padding left out."""

    records: int
    forward_passes: int
    tokens: int
    replayed_calls: int  # of the fast and the cached route
    learned_calls: int  # the router's own, which no replay can tell
    audited_calls: int
    agreed_calls: int
    head: str  # hash of the last record


def verify(
    log: Path | str,
    table: RoutingTable,
    *,
    head: str | None = None,
    whole: bool = True,
    audit_key: bytes | None = None,
) -> Verification:
    """Check a log's chain, and every fast and cached decision in it, against a table.

    Args:
        head: hash of the last record as noted elsewhere; None where none was.
        whole: the log has to be closed; False for one that is still being written.
        audit_key: of the audit's sample; given, each pass has to have audited as many calls as
            the key says. Whether they agreed only the model can tell.

    Raises:
        UserError: there is no such log.
        LogError: the log was tampered with, is of another table, or a decision does not follow
            from the table; the message names the record.
    """
    records = read_log(log, whole=whole)
    header, last = next(records)
    replay, count = _Replay(log, table, header, audit_key), 1
    for record, chained in records:
        last, count = chained, count + 1
        if record["kind"] == "call":
            replay.call(record)
        elif record["kind"] == "reset":
            replay.reset()
    if head is not None and head != last:
        raise LogError(f"{log}: the last record's hash is {last[:12]}, not {head[:12]}: this is another log")
    return Verification(**replay.counts | {"records": count, "head": last})


class _Replay:
    def __init__(
        self, path: Path | str, table: RoutingTable, header: dict[str, Any], audit_key: bytes | None
    ) -> None:
        if header.get("format") != FORMAT or header.get("table_sha256") != table.sha256():
            found = str(header.get("table_sha256"))[:12]
            raise LogError(
                f"{path}, record 0: the log is of table {found}, this table is {table.sha256()[:12]}"
            )
        self.path, self.table = path, table
        self.audit = None
        if audit_key is not None:
            about = header.get("audit")
            if about is None or about["key_sha256"] != hashlib.sha256(audit_key).hexdigest():
                raise LogError(f"{path}, record 0: the log was not audited with this key")
            self.audit = Audit(about["rate"], audit_key)
        try:
            self.cache = online_cache(VARConfig.model_validate_json(header["config"]))
        except (ValueError, KeyError):
            raise LogError(f"{path}, record 0: its configuration cannot be read") from None
        if header.get("model_sha256") != table.model_sha256:
            raise LogError(f"{path}, record 0: the log is of another model than the table")
        self.counts = {field.name: 0 for field in fields(Verification)}

    def reset(self) -> None:
        if self.cache is not None:
            self.cache.clear()

    def call(self, record: dict[str, Any]) -> None:
        where = f"{self.path}, record {record['record']}"
        try:
            self._call(record)
        except LogError as error:
            raise LogError(f"{where}: {error}") from None
        except (ValueError, KeyError, IndexError, RuntimeError, TypeError) as error:
            raise LogError(f"{where}: it cannot be replayed ({type(error).__name__}: {error})") from None

    def _call(self, record: dict[str, Any]) -> None:
        shape = tuple(record["shape"])
        self.counts["forward_passes"] += 1
        if "tokens" not in record:
            self.counts["tokens"] += shape[0] * shape[1]
            self.counts["learned_calls"] += shape[0] * shape[1] * self.table.layers
            return
        token_ids = unpack(record["tokens"], "<i4", shape).long()
        mask = unpack(record["mask"], "u1", shape).bool() if "mask" in record else None
        before = unpack(record["before"], "<i4", shape[:1]).long() if "before" in record else None
        plan, keys = plan_pass(self.table, self.cache, token_ids, mask, before)
        if decisions_sha256(plan) != record["decisions"]:
            raise LogError("its decisions do not follow from the table and the token ids")
        if self.cache is not None:
            self._remember(plan, keys, record)
        self._count(plan, record)

    def _remember(self, plan: Plan, keys: Tensor, record: dict[str, Any]) -> None:
        positions = self.cache.new_contexts(plan, keys)
        shape = (len(positions), self.table.layers, self.table.top_k)
        experts = unpack(record["remembered"]["experts"], "<i2", shape).long()
        weights = unpack(record["remembered"]["weights"], "<f4", shape)
        self.cache.remember(plan, keys, positions, experts, weights)

    def _count(self, plan: Plan, record: dict[str, Any]) -> None:
        learned, padding = plan.routes == LEARNED, plan.routes == PADDING
        replayed = ~learned & ~padding
        sampled, agreed = record.get("audit", (0, 0))
        if self.audit is not None:
            due = sum(map(len, self.audit.draw(replayed)))
            self.audit.add(sampled, agreed)
            if sampled != due or not 0 <= agreed <= sampled:
                raise LogError(f"it audited {sampled} calls where the key says {due}")
        self.counts["tokens"] += int((~padding[0]).sum())
        self.counts["learned_calls"] += int(learned.sum())
        self.counts["replayed_calls"] += int(replayed.sum())
        self.counts["audited_calls"] += sampled
        self.counts["agreed_calls"] += agreed
