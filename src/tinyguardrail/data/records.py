"""One schema for every row of text, and the two ways it is kept: in memory and as parquet."""

import hashlib
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple, Self

import pyarrow as pa
from pyarrow import parquet

from tinyguardrail.data.labels import BENIGN, INTENTS, LABELS
from tinyguardrail_common.errors import UserError
from tinyguardrail_common.files import atomic_file

SPLITS = ("train", "validation", "dev", "test")  # settings are chosen on dev, thresholds on validation
NO_TRANSFORM = "none"
BATCH_ROWS = 4096


class Record(NamedTuple):
    """One text.

    `parent_id` ties every variant of one text together: splits and clusters go by it. `intent` stays with
    a text that is obfuscated, where `label` becomes obfuscation.
    """

    text: str
    label: str
    source: str
    family: str
    transform: str
    parent_id: str
    language: str
    split: str = ""
    intent: str = BENIGN


SCHEMA = pa.schema([(name, pa.string()) for name in Record._fields])


class RecordError(UserError):
    """A row that breaks the schema."""


def parent_of(source: str, text: str) -> str:
    """Identifier of a text that is its own parent."""
    return f"{source}/{hashlib.sha256(text.encode('utf-8', 'surrogatepass')).hexdigest()[:16]}"


class RecordWriter:
    """Writes rows to a parquet file in batches, so that memory does not grow with their number.

    The file takes its name when the `with` block ends without an error.

    Raises:
        RecordError: a label is unknown, contradicts the intent, or a text is empty; the row is named.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows = 0
        self._batch: list[Record] = []
        self._files = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as files:
            temporary = files.enter_context(atomic_file(self.path))
            self._writer = files.enter_context(parquet.ParquetWriter(temporary, SCHEMA, compression="zstd"))
            self._files = files.pop_all()
        return self

    def write(self, record: Record) -> None:
        if record.label not in LABELS:
            known = ", ".join(LABELS)
            raise RecordError(f"{self.path}: row {self.rows}: unknown label {record.label!r}; one of {known}")
        if record.intent not in INTENTS or (record.intent == BENIGN) != (record.label == BENIGN):
            raise RecordError(
                f"{self.path}: row {self.rows} of source {record.source}: intent {record.intent!r} does not "
                f"go with label {record.label!r}; intents are {', '.join(INTENTS)}"
            )
        if not record.text.strip():
            raise RecordError(f"{self.path}: row {self.rows} of source {record.source} has no text")
        self._batch.append(record)
        self.rows += 1
        if len(self._batch) == BATCH_ROWS:
            self._flush()

    def _flush(self) -> None:
        if self._batch:
            columns = [pa.array(column, pa.string()) for column in zip(*self._batch, strict=True)]
            self._writer.write_table(pa.table(columns, schema=SCHEMA))
            self._batch.clear()

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        if kind is None:
            self._flush()
        self._files.__exit__(kind, *error)


def write_records(path: Path, records: Iterable[Record]) -> None:
    """Write rows in the order given; errors as in `RecordWriter`."""
    with RecordWriter(path) as writer:
        for record in records:
            writer.write(record)


def read_records(path: Path) -> list[Record]:
    """Read rows in file order, all at once; errors as in `iter_records`."""
    return list(iter_records(path))


def iter_records(path: Path) -> Iterator[Record]:
    """Read rows in file order, a batch in memory at a time.

    Raises:
        RecordError: the file is missing, is not parquet, or has other columns.
    """
    if not path.is_file():
        raise RecordError(f"{path}: not found; run dvc repro")
    try:
        with parquet.ParquetFile(path) as file:
            if file.schema_arrow.names != SCHEMA.names:
                raise RecordError(f"{path}: columns are {file.schema_arrow.names}, expected {SCHEMA.names}")
            for batch in file.iter_batches(BATCH_ROWS):
                columns = (column.to_pylist() for column in batch.columns)
                yield from map(Record._make, zip(*columns, strict=True))
    except pa.ArrowInvalid as error:
        raise RecordError(f"{path}: not a parquet file ({error}); delete it and run dvc repro") from None


class ContentHash:
    """sha256 over all fields of all rows in order, to compare one `fetch` with another."""

    def __init__(self) -> None:
        self._digest = hashlib.sha256()

    def add(self, record: Record) -> None:
        self._digest.update("\x00".join([*record, ""]).encode("utf-8"))

    def hexdigest(self) -> str:
        return self._digest.hexdigest()
