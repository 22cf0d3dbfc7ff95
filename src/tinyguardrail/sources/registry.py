"""Every source of text, one row each in `sources.yaml`, and the fetching of one source.

`data.sources` in the parameters names the rows to use.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
from pyarrow import parquet
from pydantic import ValidationError

from tinyguardrail.data.params import Data
from tinyguardrail.data.records import Record, RecordWriter, write_records
from tinyguardrail.sources.cleaning import clean
from tinyguardrail.sources.corpus import SOURCE, read_corpus
from tinyguardrail.sources.derivation import RULES
from tinyguardrail.sources.docstrings import Docstring, mine_code, mine_package
from tinyguardrail.sources.download import TOKEN, obtain
from tinyguardrail.sources.loaders import LOADERS
from tinyguardrail.sources.reading import input_files, parse_yaml_list, read_text
from tinyguardrail.sources.source import BUILTIN_LOADERS, Source, SourceError
from tinyguardrail_common.files import atomic_file, sha256_of
from tinyguardrail_common.progress import progress

REGISTRY = Path(__file__).with_name("sources.yaml")
LANGUAGE_MODEL_SCHEMA = pa.schema([("split", pa.string()), ("text", pa.string())])
LANGUAGE_MODEL_BATCH = 256  # documents; some hold 100,000 characters


class Fetched(NamedTuple):
    """What `fetch_source` wrote."""

    rows: int
    dropped: dict[str, int]  # rows left out, by reason
    files: dict[str, str]  # sha256 by file name; the revision, for a hub set
    paths: dict[str, Path]  # where the files lay: of this machine, so not for the report


def find_source(name: str) -> Source:
    """The registry row of that name.

    Raises:
        SourceError: there is none.
    """
    if name not in sources():
        raise SourceError(f"data.sources: unknown source {name!r}; registered are {', '.join(sources())}")
    return sources()[name]


def not_requested(names: Sequence[str]) -> dict[str, str]:
    """Registered sources that are not among `names`, and why one may be missing: for the data card."""
    reasons = {
        "open": "not asked for",
        "gated": "not asked for; gated: needs its licence accepted at {page} and " + TOKEN,
        "on_request": "not asked for; handed out on request at {page}",
    }
    return {
        source.name: reasons[source.access].format(page=source.page)
        for source in sources().values()
        if source.name not in names
    }


def fetch_source(source: Source, target: Path, settings: Data, corpus: Path) -> Fetched:
    """Write a source as parquet: records, or the columns split and text for language models.

    Args:
        corpus: folder of the authored texts.

    Raises:
        SourceError: a file cannot be had or read, a row cannot be labelled, or no row is left.
    """
    if source.loader in BUILTINS:
        return BUILTINS[source.loader](target, settings, corpus)
    paths = obtain(source)
    dropped: Counter[str] = Counter()
    records = LOADERS[source.loader](input_files(source, paths, dropped))
    if source.kind == "language_model":
        rows = _write_documents(target, clean(records, source, dropped, max_characters=None))
    else:
        kept = clean(records, source, dropped, settings.max_characters)
        with RecordWriter(target) as writer:
            for record in progress(kept, source.name):
                writer.write(record)
            rows = writer.rows
    if not rows:
        target.unlink()
        raise SourceError(f"source {source.name}: no row is left; dropped were {dict(dropped)}")
    if source.hub:
        identities = {source.hub.path: source.hub.revision}
    else:
        identities = {file.name: file.sha256 or sha256_of(paths[file.name]) for file in source.files}
    return Fetched(rows, dict(sorted(dropped.items())), identities, paths)


def _write_documents(target: Path, records: Iterator[Record]) -> int:
    rows = 0
    with (
        atomic_file(target) as temporary,
        parquet.ParquetWriter(temporary, LANGUAGE_MODEL_SCHEMA, compression="zstd") as writer,
    ):
        while batch := list(islice(records, LANGUAGE_MODEL_BATCH)):
            columns = [[record.split for record in batch], [record.text for record in batch]]
            writer.write_table(pa.table(columns, schema=LANGUAGE_MODEL_SCHEMA))
            rows += len(batch)
    return rows


# ---- sources that need no file ------------------------------------------------------------

Builtin = Callable[[Path, Data, Path], Fetched]  # of where to write, the settings and the corpus


def _authored(target: Path, settings: Data, corpus: Path) -> Fetched:
    source = find_source(SOURCE)
    records = [record._replace(intent=source.intent_of(record)) for record in read_corpus(corpus)]
    write_records(target, records)
    hashes = {path.name: sha256_of(path) for path in sorted(corpus.glob("*.yaml"))}
    return Fetched(len(records), {}, hashes, {})  # a repeated text is an error there


def _mined(mine: Callable[[str], list[Docstring]]) -> Builtin:
    def fetch(target: Path, settings: Data, corpus: Path) -> Fetched:
        mined = [docstring for package in settings.docstring_packages for docstring in mine(package)]
        first = {docstring.text: docstring for docstring in reversed(mined)}
        rows = list(first.values())[::-1]
        table = pa.table({name: [getattr(row, name) for row in rows] for name in Docstring._fields})
        with atomic_file(target) as temporary:
            parquet.write_table(table, temporary, compression="zstd")
        copies = len(mined) - len(rows)
        return Fetched(len(rows), {"copy": copies} if copies else {}, {}, {})

    return fetch


BUILTINS: dict[str, Builtin] = dict(
    zip(BUILTIN_LOADERS, (_authored, _mined(mine_package), _mined(mine_code)), strict=True)
)


# ---- reading the registry -----------------------------------------------------------------


@cache
def sources() -> dict[str, Source]:
    """All registered sources, in file order."""
    return read_sources(REGISTRY)


def read_sources(path: Path) -> dict[str, Source]:
    """Read and check a registry file.

    Raises:
        SourceError: it is not YAML, or a row breaks the schema; the line names source and key.
    """
    found: dict[str, Source] = {}
    for number, row in enumerate(parse_yaml_list(read_text(path, path.name), path.name), 1):
        source = _parse_source(row, number, path.name)
        if source.name in found:
            raise SourceError(f"{path.name}: source {source.name} stands there twice")
        found[source.name] = source
    return found


def _parse_source(row: Any, number: int, place: str) -> Source:
    name = row.get("name", f"number {number}") if isinstance(row, dict) else f"number {number}"
    try:
        source = Source.model_validate(row)
    except ValidationError as error:
        # a misspelt key is also a missing one: name what stands in the file
        first = min(error.errors(), key=lambda each: each["type"] == "missing")
        key = ".".join(str(part) for part in first["loc"]) or "(whole row)"
        problem = {"missing": "is missing", "extra_forbidden": "is an unknown key"}.get(first["type"])
        raise SourceError(f"{place}: source {name}: {key}: {problem or first['msg']}") from None
    if source.loader not in LOADERS and source.loader not in BUILTINS:
        known = ", ".join(sorted([*LOADERS, *BUILTINS]))
        raise SourceError(f"{place}: source {name}: loader: {source.loader!r} is no loader; one of {known}")
    for file in source.files:
        if file.derived and file.derived.rule not in RULES:
            rules = ", ".join(RULES)
            raise SourceError(
                f"{place}: source {name}: {file.name}: rule {file.derived.rule!r} is none of {rules}"
            )
    return source
