"""Rows on disk that can be read by number: what a stage draws from without holding its texts in memory."""

from array import array
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pyarrow as pa

from tinyguardrail.data.records import BATCH_ROWS, SCHEMA, Record

CODED = ("label", "source", "family", "language", "split")  # columns that rows are chosen by


class RecordStore:
    """Append-only rows in Arrow files of a folder, read back through memory maps.

    In memory stand the coded columns and the lengths of the texts alone: 14 bytes a row.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        self._folder = folder
        self._batches: list[pa.RecordBatch] = []
        self._open: list[Record] = []
        self._lengths = array("i")
        self._codes = {column: array("H") for column in CODED}
        self._values: dict[str, dict[str, int]] = {column: {} for column in CODED}

    def __len__(self) -> int:
        return len(self._lengths)

    def append(self, record: Record) -> None:
        for column, codes in self._codes.items():
            values = self._values[column]
            codes.append(values.setdefault(getattr(record, column), len(values)))
        self._lengths.append(len(record.text))
        self._open.append(record)
        if len(self._open) == BATCH_ROWS:
            self._write_batch()

    def extend(self, records: Iterable[Record]) -> np.ndarray:
        """Add rows; returns their numbers."""
        first = len(self)
        for record in records:
            self.append(record)
        return np.arange(first, len(self), dtype=np.int32)

    def __getitem__(self, row: int) -> Record:
        batch, place = divmod(int(row), BATCH_ROWS)
        if batch == len(self._batches):
            return self._open[place]
        return Record._make(column[place].as_py() for column in self._batches[batch].columns)

    def lengths(self) -> np.ndarray:
        """(N,) int32: characters of each text."""
        return np.array(self._lengths, np.int32)

    def column(self, name: str) -> np.ndarray:
        """(N,) values of one of `CODED`, as objects that share their strings."""
        return np.array(list(self._values[name]), object)[np.array(self._codes[name], np.int32)]

    def where(self, **wanted: str | Iterable[str]) -> np.ndarray:
        """(N,) bool: rows whose coded columns have the value, or one of the values, given."""
        mask = np.ones(len(self), bool)
        for column, allowed in wanted.items():
            names = (allowed,) if isinstance(allowed, str) else allowed
            codes = [self._values[column][name] for name in names if name in self._values[column]]
            mask &= np.isin(np.array(self._codes[column]), codes)
        return mask

    def _write_batch(self) -> None:
        path = self._folder / f"{len(self._batches)}.arrow"
        columns = [pa.array(column, pa.string()) for column in zip(*self._open, strict=True)]
        with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, SCHEMA) as writer:
            writer.write_batch(pa.record_batch(columns, schema=SCHEMA))
        self._batches.append(pa.ipc.open_file(pa.memory_map(str(path))).get_batch(0))
        self._open.clear()
