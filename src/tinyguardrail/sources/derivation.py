"""Files that are joined from many small ones of a repository, out of its archive at a pinned commit.

GitHub packs an archive anew on request, so that the sha256 of the archive says nothing. Git's blob id of
each file in it does: `blobs/<source>.txt` lists the files that are used, and the sha256 of the joined file
stands in the registry like that of any other. The lists hold hashes alone; which files are used was decided
once, by rules that need texts of other sets (near-duplicates of test rows among them), so that it cannot be
recomputed.
"""

import csv
import hashlib
import io
import json
import re
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any
from xml.etree import ElementTree

from tinyguardrail.sources.source import SourceError

BLOBS = Path(__file__).with_name("blobs")
DIGITS = 8  # of each hash in a list: enough to tell files apart; the whole is checked by its sha256
DAMAGED = (tarfile.TarError, EOFError, zlib.error, OSError)  # of a truncated archive, or of none

Rule = Callable[[str, str, bytes], Iterator[dict[str, Any]]]  # of path, blob id and content, rows


def blob_id(content: bytes) -> str:
    """Git's name of a file's content: a sha1, 40 hex digits."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


def path_key(path: str) -> str:
    """What stands for a path in a list: paths there are titles that people gave to their prompts."""
    return hashlib.sha1(path.encode(), usedforsecurity=False).hexdigest()[:DIGITS]


def blob_list(source: str) -> dict[str, str]:
    """First digits of the blob id of each file that a source uses, by `path_key`."""
    lines = (BLOBS / f"{source}.txt").read_text(encoding="ascii").splitlines()
    return dict(line.split() for line in lines)


def derive(archive: Path, rule: str, wanted: dict[str, str], place: str) -> Iterator[str]:
    """Lines of the joined file: the rule's rows as JSON, files in the order of their paths.

    Args:
        wanted: as from `blob_list`.
        place: source and file, for errors.

    Raises:
        SourceError: the archive is damaged, lacks a file, or holds another one under its path.
    """
    files = _read_archive(archive, wanted, place)
    for path in sorted(files):
        for row in RULES[rule](path, *files[path]):
            yield json.dumps(row, ensure_ascii=False) + "\n"


def _read_archive(archive: Path, wanted: dict[str, str], place: str) -> dict[str, tuple[str, bytes]]:
    """Blob id and content of the wanted files, by path without the archive's own top folder."""
    found: dict[str, tuple[str, bytes]] = {}
    try:
        with tarfile.open(archive, "r:gz") as packed:
            for member in packed:
                path = member.name.partition("/")[2]
                expected = wanted.get(path_key(path))
                if expected and (file := packed.extractfile(member)):
                    content = file.read()
                    found[path] = (_checked_id(content, expected, path, place), content)
    except DAMAGED as error:
        raise SourceError(
            f"{place}: the archive is damaged or truncated ({type(error).__name__}: {error}); try again"
        ) from None
    missing = wanted.keys() - {path_key(path) for path in found}
    if missing:
        blobs = ", ".join(sorted(wanted[key] for key in missing)[:3])
        raise SourceError(
            f"{place}: the archive lacks {len(missing)} of the {len(wanted)} files that are used, with git "
            f"blob ids {blobs}{'...' if len(missing) > 3 else ''}; is it the archive of the pinned commit?"
        )
    return found


def _checked_id(content: bytes, expected: str, path: str, place: str) -> str:
    found = blob_id(content)
    if not found.startswith(expected):
        raise SourceError(
            f"{place}: {path} has git blob id {found}, expected {expected}...; is the archive that of the "
            "pinned commit?"
        )
    return found


# ---- rules: what a file becomes -----------------------------------------------------------

# A prompt may hold fences of its own; its end is the first that closes a line.
PROMPT_BLOCK = re.compile(r"^# Prompt\s+```[^\S\n]*\n(.*?)```[^\S\n]*$", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"!?\[([^\]]*)\]\([^)]*\)")
BLANK_LINES = re.compile(r"\n\s*\n")
MIN_PARAGRAPH = 80  # characters; shorter are headings
SHEET = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"


def prompt_block(path: str, blob: str, content: bytes) -> Iterator[dict[str, Any]]:
    """The fenced block below the heading "Prompt"; both flags are false of all files that are used."""
    block = PROMPT_BLOCK.search(content.decode())
    if block is None:
        raise SourceError(f"{path} (git blob id {blob}) has no fenced block below a heading '# Prompt'")
    yield {
        "path": path,
        "blob": blob,
        "text": block[1].strip(),
        "listed_jailbreak": False,
        "attack_pattern": False,
    }


def system_role(path: str, blob: str, content: bytes) -> Iterator[dict[str, Any]]:
    """The system prompt of `locales/<agent>/index.<locale>.json`; without a locale it is English."""
    _, agent, name = path.split("/")
    locale = name.removeprefix("index.").removesuffix("json").rstrip(".")
    text = json.loads(content)["config"]["systemRole"]
    yield {"agent": agent, "locale": locale or "en", "blob": blob, "text": text}


def whole_text(path: str, blob: str, content: bytes) -> Iterator[dict[str, Any]]:
    yield {"path": path, "blob": blob, "text": content.decode().strip()}


def paragraphs(path: str, blob: str, content: bytes) -> Iterator[dict[str, Any]]:
    """Blocks between blank lines, links as their text; blocks are counted from 0, the short ones too."""
    folders = PurePosixPath(path).parts
    language = folders[2] if "translations" in folders else "en"
    blocks = BLANK_LINES.split(LINK.sub(r"\1", content.decode()))
    for number, block in enumerate(blocks):
        if len(text := block.strip()) >= MIN_PARAGRAPH:
            yield {"path": path, "blob": blob, "language": language, "par": number, "text": text}


def first_column(path: str, blob: str, content: bytes) -> Iterator[dict[str, Any]]:
    """First column of `<language>/<category>.csv` or `.xlsx`, without a header; "sp" is Spanish."""
    file = PurePosixPath(path)
    language = {"sp": "es"}.get(file.parts[0], file.parts[0])
    category = file.stem.removesuffix("_n")
    for text in (_xlsx_column if file.suffix == ".xlsx" else _csv_column)(content):
        yield {"language": language, "category": category, "path": path, "blob": blob, "text": text.strip()}


def _csv_column(content: bytes) -> list[str]:
    return [row[0] for row in csv.reader(io.StringIO(content.decode("utf-8-sig"), newline="")) if row]


def _xlsx_column(content: bytes) -> list[str]:
    """An .xlsx file is a zip of XML; cells point by number to texts that stand apart."""
    with zipfile.ZipFile(io.BytesIO(content)) as book:
        shared = ElementTree.fromstring(book.read("xl/sharedStrings.xml"))
        sheet = ElementTree.fromstring(book.read("xl/worksheets/sheet1.xml"))
    texts = ["".join(run.text or "" for run in item.iter(f"{SHEET}t")) for item in shared]
    return [texts[int(row[0].findtext(f"{SHEET}v", ""))] for row in sheet.iter(f"{SHEET}row") if len(row)]


RULES: dict[str, Rule] = {
    rule.__name__: rule for rule in (prompt_block, system_role, whole_text, paragraphs, first_column)
}
