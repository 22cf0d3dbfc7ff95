"""Every source of text, one row each. `data.sources` in the parameters names the rows to use."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
from pyarrow import parquet

from tinyguardrail.data.corpus import read_corpus
from tinyguardrail.data.docstrings import Docstring, mine_package
from tinyguardrail.data.records import write_records
from tinyguardrail.errors import UserError
from tinyguardrail.files import atomic_file
from tinyguardrail.params import Data
from tinyguardrail.paths import CORPUS


class SourceError(UserError):
    """A source that cannot be had."""


class Fetched(NamedTuple):
    rows: int
    copies_dropped: int  # rows whose text stood in the source before


@dataclass(frozen=True)
class Source:
    """A registered source; `fetch(target, settings)` writes it as parquet and says what it wrote."""

    name: str
    licence: str
    about: str
    fetch: Callable[[Path, Data], Fetched]


def _fetch_authored(target: Path, settings: Data) -> Fetched:
    records = read_corpus(CORPUS)
    write_records(target, records)
    return Fetched(len(records), 0)  # a repeated text is an error there


def _fetch_docstrings(target: Path, settings: Data) -> Fetched:
    mined = [docstring for package in settings.docstring_packages for docstring in mine_package(package)]
    rows = list({docstring.text: docstring for docstring in reversed(mined)}.values())[
        ::-1
    ]  # the first stays
    _write_docstrings(target, rows)
    return Fetched(len(rows), len(mined) - len(rows))


def _write_docstrings(target: Path, rows: Sequence[Docstring]) -> None:
    table = pa.table({name: [getattr(row, name) for row in rows] for name in Docstring._fields})
    with atomic_file(target) as temporary:
        parquet.write_table(table, temporary, compression="zstd")


SOURCES = {
    source.name: source
    for source in (
        Source("authored", "Apache-2.0", "texts written for this project, in data/corpus", _fetch_authored),
        Source(
            "docstrings",
            "BSD-3-Clause and PSF-based licences of the packages mined",
            "docstrings of the installed, pinned packages",
            _fetch_docstrings,
        ),
    )
}


def find_source(name: str) -> Source:
    """The registry row of that name.

    Raises:
        SourceError: there is none.
    """
    if name not in SOURCES:
        raise SourceError(
            f"data.sources: unknown source {name!r}; registered are {', '.join(sorted(SOURCES))}"
        )
    return SOURCES[name]
