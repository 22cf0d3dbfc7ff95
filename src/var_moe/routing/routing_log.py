"""A hash-chained, append-only log of routing decisions: one line per forward pass.

A line is the SHA-256 of (the hash before it, this line's JSON), a space, and the JSON. The
first record is the header, the last one says that the log is whole. Whoever changes, drops
or moves a record breaks the chain there. Whoever can rewrite the whole file can chain it
anew: note the closing hash elsewhere, and `verify` compares it.
"""

import base64
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tinyguardrail_common.errors import UserError
from var_moe.routing.table import Plan

FORMAT = 1


class LogError(UserError):
    """A log that is not what was written, or whose decisions do not follow from the table."""


class RoutingLog:
    """Writes a log; `close` completes it.

    Args:
        path: of a file that does not exist yet: a log is never overwritten.
        header: what the decisions depend on; stands in record 0.

    Raises:
        UserError: the file exists.
    """

    def __init__(self, path: Path | str, header: dict[str, Any]) -> None:
        self.path = Path(path)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._file = self.path.open("xb")
        except FileExistsError:
            raise UserError(f"{path} exists: a routing log is never overwritten") from None
        self.head = ""  # hash of the last record
        self.records = 0
        self.append("header", {"format": FORMAT, **header})

    def append(self, kind: str, content: dict[str, Any]) -> None:
        """Add one record.

        Raises:
            UserError: the log is closed.
        """
        if self._file.closed:
            raise UserError(f"{self.path} is closed: start another log")
        body = json.dumps({"record": self.records, "kind": kind, **content}, separators=(",", ":")).encode()
        self.head = _chained(self.head, body)
        self._file.write(b"%s %s\n" % (self.head.encode(), body))
        self.records += 1

    def close(self) -> None:
        if not self._file.closed:
            self.append("end", {})
            self._file.close()


def read_log(path: Path | str, *, whole: bool = True) -> Iterator[tuple[dict[str, Any], str]]:
    """The records of a log and their hashes, each checked against the chain before it is handed out.

    Args:
        whole: the log has to be closed; False for one that is still being written.

    Raises:
        UserError: there is no such file.
        LogError: a record was changed, dropped, moved or cut; the message names it.
    """
    if not Path(path).is_file():
        raise UserError(f"{path} is missing: no routing log")
    head, kind, number = "", None, -1
    with Path(path).open("rb") as file:
        for number, line in enumerate(file):
            if not line.endswith(b"\n"):
                raise LogError(f"{path}, record {number}: the line is cut off")
            if kind == "end":
                raise LogError(f"{path}, record {number}: it stands after the closing record")
            head, body = _chained(head, line[65:-1]), line[65:-1]
            if line[:65] != head.encode() + b" ":
                raise LogError(
                    f"{path}, record {number}: its hash does not follow from what stands before it: "
                    "the log was changed, cut or reordered here"
                )
            try:
                record = json.loads(body)
                kind, well_placed = record["kind"], record["record"] == number
            except (ValueError, TypeError, KeyError):
                well_placed = False
            if not well_placed or (kind == "header") != (number == 0):
                raise LogError(f"{path}, record {number}: what stands there is no record {number} of a log")
            yield record, head
    if number < 0:
        raise LogError(f"{path} is empty: not even record 0, the header, is there")
    if whole and kind != "end":
        raise LogError(
            f"{path} ends after record {number} without a closing record: it was cut off, or is still "
            "being written"
        )


def decisions_sha256(plan: Plan) -> str:
    """Hash of a plan that the routers have not completed yet: routes, experts and weights."""
    digest = hashlib.sha256()
    for tensor in (plan.routes, plan.experts.to(torch.int16), plan.weights):
        digest.update(np.ascontiguousarray(tensor.cpu().numpy()))
    return digest.hexdigest()


def pack(values: Tensor) -> str:
    """A tensor's values as base64, little-endian; type and shape are the reader's to know."""
    array = np.ascontiguousarray(values.cpu().numpy())
    return base64.b64encode(array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes()).decode()


def unpack(text: str, dtype: str, shape: tuple[int, ...]) -> Tensor:
    """What `pack` was given; a ValueError where the number of values is another."""
    array = np.frombuffer(base64.b64decode(text, validate=True), dtype=dtype)
    return torch.from_numpy(array.reshape(shape).astype(array.dtype.newbyteorder("=")))


def _chained(head: str, body: bytes) -> str:
    return hashlib.sha256(head.encode() + body).hexdigest()
