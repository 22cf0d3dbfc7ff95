"""Reading the files of a source, whatever their format, with errors that name source, file and row."""

import csv
import io
import json
import zipfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
from pyarrow import parquet
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from tinyguardrail.data.records import NO_TRANSFORM, Record, parent_of
from tinyguardrail.sources.source import Source, SourceError

BATCH_ROWS = 1024
csv.field_size_limit(2**31 - 1)  # some prompts are longer than the default of 131,072


class Row(NamedTuple):
    """One row of a file, and where it stands, for errors."""

    place: str  # source, file and row, the first being row 1
    values: Mapping[str, Any]

    def get(self, *names: str) -> Any:
        """Value of the first of these columns that the row has.

        Raises:
            SourceError: it has none of them.
        """
        for name in names:
            if name in self.values:
                return self.values[name]
        columns = ", ".join(str(key) for key in self.values)
        raise SourceError(f"{self.place} has no column {' or '.join(names)}; it has {columns}")

    def text(self, *names: str) -> str:
        """The same as text; null becomes the empty text, which cleaning drops and counts."""
        value = self.get(*names)
        if value is None:
            return ""
        if not isinstance(value, str):
            raise SourceError(f"{self.place}: {names[0]} = {value!r} is not text")
        return value

    def choice(self, name: str, meanings: Mapping[str, str]) -> str:
        """What the value of a column means; 1, "1" and " 1 " are one value, so are True and "true".

        Raises:
            SourceError: the value is none of those known.
        """
        value = self.get(name)
        key = str(value).strip().lower()
        if key not in meanings:
            raise SourceError(f"{self.place}: unknown {name} {value!r}; known are {', '.join(meanings)}")
        return meanings[key]

    def rows(self, name: str) -> Iterator["Row"]:
        """The objects of the list in a column."""
        for number, values in enumerate(self.get(name), 1):
            yield Row(f"{self.place}: row {number}", values)


class InputFile(NamedTuple):
    """A file that a loader reads, as it lies on this machine."""

    source: str
    name: str  # the registered one: in a mirror a file may be called anything
    role: str
    language: str
    path: Path
    dropped: Counter[str]  # rows of the source that are left out, by reason; of all its files together

    @property
    def place(self) -> str:
        return f"source {self.source}: {self.name}"

    def text(self) -> str:
        """The whole file; errors as in `read_text`."""
        return read_text(self.path, self.place)

    def json(self) -> Row:
        """A file of one JSON object."""
        return Row(self.place, _parse_json(self.text(), self.place))

    def rows(self) -> Iterator[Row]:
        """Rows of a file of records: csv, json (a list of objects), jsonl, yaml (a list), parquet, or a zip
        of one jsonl file.
        """
        suffix = Path(self.name).suffix
        if suffix not in READERS:
            raise SourceError(f"{self.place}: no reader for {suffix!r} files; known are {', '.join(READERS)}")
        for number, values in enumerate(READERS[suffix](self), 1):
            place = f"{self.place}: row {number}"
            if not isinstance(values, Mapping):
                raise SourceError(f"{place}: expected an object with named fields, found {values!r:.80}")
            yield Row(place, values)

    def record(self, text: str, label: str, family: str, parent_id: str | None = None) -> Record:
        """A row of the common schema; without a parent the text is its own."""
        return Record(
            text=text,
            label=label,
            source=self.source,
            family=family,
            transform=NO_TRANSFORM,
            parent_id=parent_id or parent_of(self.source, text),
            language=self.language,
            split=self.role if self.role in ("dev", "test") else "",
        )


def input_files(source: Source, paths: Mapping[str, Path], dropped: Counter[str]) -> list[InputFile]:
    """What a source's loader reads, in the order of the registry; `paths` are by file name."""
    return [
        InputFile(
            source.name, file.name, file.role, file.language or source.language, paths[file.name], dropped
        )
        for file in source.inputs
    ]


def rows_of(files: Sequence[InputFile]) -> Iterator[tuple[InputFile, Row]]:
    """Rows of all files but the reference files, one file in memory at a time."""
    return ((file, row) for file in files if file.role != "reference" for row in file.rows())


def read_text(path: Path, place: str) -> str:
    """A text file without its byte order mark, line ends as they are.

    Raises:
        SourceError: the file is not UTF-8; the byte is named.
    """
    return _decode(path.read_bytes(), place)


def _decode(content: bytes, place: str) -> str:
    try:
        return content.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        raise SourceError(
            f"{place}: not UTF-8 at byte {error.start}: {error.reason}; save it as UTF-8"
        ) from None


def parse_yaml_list(text: str, place: str) -> list[Any]:
    """Items of a YAML list.

    Raises:
        SourceError: the text is not YAML, or no list.
    """
    try:
        return _as_list(YAML(typ="safe", pure=True).load(text), place)
    except YAMLError as error:
        raise SourceError(f"{place}: not YAML: {' '.join(str(error).split())}") from None


def _as_list(content: Any, place: str) -> list[Any]:
    if not isinstance(content, list):
        raise SourceError(f"{place}: expected a list, found {type(content).__name__}")
    return content


def _parse_json(text: str, place: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise SourceError(f"{place}: not JSON at line {error.lineno}: {error.msg}") from None


def _jsonl(file: InputFile) -> Iterator[Any]:
    return _json_lines(file.text(), file.place)


def _json_lines(text: str, place: str) -> Iterator[Any]:
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            yield _parse_json(line, f"{place}: line {number}")


def _zipped_jsonl(file: InputFile) -> Iterator[Any]:
    """The one jsonl file of an archive; what macOS packs beside it (`__MACOSX/`) is no file of the source."""
    try:
        with zipfile.ZipFile(file.path) as archive:
            names = [name for name in archive.namelist() if not name.startswith("__MACOSX/")]
            if len(names) != 1 or not names[0].endswith(".jsonl"):
                raise SourceError(f"{file.place}: expected one .jsonl file in the archive, found {names}")
            content = archive.read(names[0])
    except zipfile.BadZipFile as error:
        raise SourceError(f"{file.place}: not a zip archive: {error}; fetch it again") from None
    place = f"{file.place}: {names[0]}"
    return _json_lines(_decode(content, place), place)


def _csv(file: InputFile) -> Iterator[dict[str, str]]:
    reader = csv.DictReader(io.StringIO(file.text(), newline=""), strict=True)
    try:
        for row in reader:
            if None in row or None in row.values():  # DictReader's marks of a row too long or too short
                fields = len(reader.fieldnames or [])
                raise SourceError(
                    f"{file.place}: line {reader.line_num} has not the {fields} fields of the header"
                )
            yield row
    except csv.Error as error:
        raise SourceError(f"{file.place}: bad CSV after line {reader.line_num}: {error}") from None


def _parquet(file: InputFile) -> Iterator[dict[str, Any]]:
    try:
        with parquet.ParquetFile(file.path) as opened:
            for batch in opened.iter_batches(BATCH_ROWS):
                yield from batch.to_pylist()
    except pa.ArrowInvalid as error:
        raise SourceError(f"{file.place}: not a parquet file: {error}") from None


READERS: dict[str, Callable[[InputFile], Iterable[Any]]] = {
    ".csv": _csv,
    ".json": lambda file: _as_list(_parse_json(file.text(), file.place), file.place),
    ".jsonl": _jsonl,
    ".parquet": _parquet,
    ".zip": _zipped_jsonl,
    ".yaml": lambda file: parse_yaml_list(file.text(), file.place),
}
