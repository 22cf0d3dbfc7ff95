"""Files of a source written by a test, and the rows that its loader makes of them."""

import csv
import io
import json
import zipfile
from collections import Counter

import pytest

from tinyguardrail.sources.cleaning import clean
from tinyguardrail.sources.loaders import LOADERS
from tinyguardrail.sources.reading import input_files
from tinyguardrail.sources.registry import find_source
from tinyguardrail.sources.source import SourceFile


def as_csv(*rows):
    text = io.StringIO()
    csv.writer(text).writerows(rows)  # RFC 4180: CRLF, quotes doubled
    return text.getvalue().encode()


def as_json(content):
    return json.dumps(content).encode()


def as_jsonl(*rows):
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def as_zip(**members):
    """An archive of files; macOS adds one of its own."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, text in members.items():
            archive.writestr(name, text)
            archive.writestr(f"__MACOSX/._{name}", b"\x00")
    return content.getvalue()


@pytest.fixture
def load(tmp_path):
    """Rows and report of a source whose files are given as bytes; those not given are left out."""

    def run(name, contents, max_characters=100_000, roles=None):
        source = find_source(name)
        known = {file.name: file for file in source.files}
        files = [known.get(file) or SourceFile(name=file, role=(roles or {})[file]) for file in contents]
        source = source.model_copy(update={"files": files})
        for file, content in contents.items():
            (tmp_path / file).write_bytes(content)
        dropped = Counter()
        paths = {file: tmp_path / file for file in contents}
        rows = LOADERS[source.loader](input_files(source, paths, dropped))
        return list(clean(rows, source, dropped, max_characters)), dict(dropped)

    return run


def brief(records):
    return [(record.text, record.label, record.family, record.split) for record in records]
