"""One schema for every row of text, and the two ways it is kept: in memory and as parquet."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
from pyarrow import parquet

from tinyguardrail.errors import UserError
from tinyguardrail.files import atomic_file

BENIGN = "benign"
OBFUSCATION = "obfuscation"
LABELS = (BENIGN, "direct_injection", "jailbreak", OBFUSCATION)
SPLITS = ("train", "validation", "test")
NO_TRANSFORM = "none"


class Record(NamedTuple):
    """One text.

    `parent_id` ties every variant of one text together: splits and clusters go by it.
    """

    text: str
    label: str
    source: str
    family: str
    transform: str
    parent_id: str
    language: str
    split: str = ""


SCHEMA = pa.schema([(name, pa.string()) for name in Record._fields])


class RecordError(UserError):
    """A row that breaks the schema."""


def parent_of(source: str, text: str) -> str:
    """Identifier of a text that is its own parent."""
    return f"{source}/{hashlib.sha256(text.encode('utf-8', 'surrogatepass')).hexdigest()[:16]}"


def write_records(path: Path, records: Sequence[Record]) -> None:
    """Write rows in the order given.

    Raises:
        RecordError: a label is unknown or a text is empty; the row is named.
    """
    for row, record in enumerate(records):
        if record.label not in LABELS:
            raise RecordError(
                f"{path}: row {row}: unknown label {record.label!r}; one of {', '.join(LABELS)}"
            )
        if not record.text.strip():
            raise RecordError(f"{path}: row {row} of source {record.source} has no text")
    columns = zip(*records, strict=True) if records else ([] for _ in Record._fields)
    table = pa.table([pa.array(column, pa.string()) for column in columns], schema=SCHEMA)
    with atomic_file(path) as temporary:
        parquet.write_table(table, temporary, compression="zstd")


def read_records(path: Path) -> list[Record]:
    """Read rows in file order.

    Raises:
        RecordError: the file is missing, is not parquet, or has other columns.
    """
    if not path.is_file():
        raise RecordError(f"{path}: not found; run dvc repro")
    try:
        table = parquet.read_table(path)
    except pa.ArrowInvalid as error:
        raise RecordError(f"{path}: not a parquet file ({error}); delete it and run dvc repro") from None
    if table.schema.names != SCHEMA.names:
        raise RecordError(f"{path}: columns are {table.schema.names}, expected {SCHEMA.names}")
    return [Record(*row) for row in zip(*(column.to_pylist() for column in table.columns), strict=True)]


def content_hash(records: Sequence[Record]) -> str:
    """sha256 over all fields of all rows in order, to compare one `fetch` with another."""
    digest = hashlib.sha256()
    for record in records:
        for value in record:
            digest.update(value.encode("utf-8") + b"\x00")
    return digest.hexdigest()
