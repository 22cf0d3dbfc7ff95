"""A file that no mirror holds is joined from its repository's archive, and counts only if it is the same."""

import csv
import hashlib
import io
import json
import os
import shutil
import subprocess
import tarfile
import zipfile

import pytest

from tinyguardrail.data.records import read_records
from tinyguardrail.sources import derivation, download
from tinyguardrail.sources.derivation import RULES, blob_id, blob_list, derive, path_key
from tinyguardrail.sources.download import obtain, sha256_of
from tinyguardrail.sources.registry import fetch_source, find_source, sources
from tinyguardrail.sources.source import SourceError

MIRROR = os.environ.get("TINYGUARD_MIRROR")
needs_mirror = pytest.mark.skipif(not MIRROR, reason="needs TINYGUARD_MIRROR")
DERIVED = [source.name for source in sources().values() if any(file.derived for file in source.files)]
SETTINGS = type("S", (), {"max_characters": 100_000})
FILES = {  # of a repository; the second is in no list
    "rules/b.mdc": b"---\nglobs: **/*\n---\nUse tabs.\n",
    "README.md": b"# Rules\n",
    "rules/a.mdc": "Réponds court.\n\n".encode(),
}
USED = ("rules/a.mdc", "rules/b.mdc")


def packed(path, files):
    """An archive in GitHub's layout: one top folder, named after repository and commit."""
    with tarfile.open(path, "w:gz") as archive:
        top = tarfile.TarInfo("rules-0123456")
        top.type = tarfile.DIRTYPE
        archive.addfile(top)
        for name, content in files.items():
            member = tarfile.TarInfo(f"rules-0123456/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


def rows_of(rule, path, content):
    return list(RULES[rule](path, blob_id(content), content))


# ---- rules ----------------------------------------------------------------------------------


def test_a_blob_id_is_that_of_git(tmp_path):
    (tmp_path / "a").write_bytes(FILES["rules/a.mdc"])
    printed = subprocess.run(
        ["git", "hash-object", "--no-filters", "a"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert blob_id(FILES["rules/a.mdc"]) == printed.stdout.strip()


@pytest.mark.parametrize(
    ("block", "text"),
    [
        ("Act as a poet.\n", "Act as a poet."),
        ("Answer so:\n```sql\nSELECT 1;\n``` \nAnd more.\n", "Answer so:\n```sql\nSELECT 1;"),
        ('Put it into """```code``` here.\n', 'Put it into """```code``` here.'),
        ("\n  Indented, then ends in a fence```\nrest\n", "Indented, then ends in a fence"),
    ],
)
def test_a_prompt_ends_at_the_first_fence_that_closes_a_line(block, text):
    page = f"# Title | [Start](https://example.org)\n\n# Prompt\n\n```\n{block}```\n\n## Conversation\n\nHi\n"
    (row,) = rows_of("prompt_block", "gpts/poet.md", page.encode())
    assert row == {
        "path": "gpts/poet.md",
        "blob": blob_id(page.encode()),
        "text": text,
        "listed_jailbreak": False,
        "attack_pattern": False,
    }


def test_a_page_without_a_prompt_block_is_named():
    with pytest.raises(SourceError, match=r"gpts/x\.md \(git blob id [0-9a-f]{40}\) has no fenced block"):
        rows_of("prompt_block", "gpts/x.md", b"# Title\n\nNothing\n")


@pytest.mark.parametrize(("name", "locale"), [("index.json", "en"), ("index.zh-CN.json", "zh-CN")])
def test_a_system_role_is_taken_as_it_stands(name, locale):
    content = json.dumps({"config": {"systemRole": " Tu es poli.\n", "openingMessage": "Hi"}}).encode()
    (row,) = rows_of("system_role", f"locales/tutor/{name}", content)
    assert list(row) == ["agent", "locale", "blob", "text"]
    assert (row["agent"], row["locale"], row["text"]) == ("tutor", locale, " Tu es poli.\n")


def test_paragraphs_are_numbered_with_the_short_ones_and_links_become_their_text():
    long = (
        "An attacker hides an order in a page, and the model that sums it up obeys the page instead of you."
    )
    page = (
        f"## LLM01\n\n{long}\n \n\n#### Short\n\n1. [{long}](https://example.org/a_b)\n2. ![i](x.png) end\n"
    )
    rows = rows_of("paragraphs", "2_0_vulns/translations/de-DE/LLM01_X.md", page.encode())
    assert [(row["language"], row["par"], row["text"]) for row in rows] == [
        ("de-DE", 1, long),
        ("de-DE", 3, f"1. {long}\n2. i end"),
    ]
    assert rows_of("paragraphs", "2_0_vulns/LLM01_X.md", page.encode())[0]["language"] == "en"


def spreadsheet(texts):
    """The parts of an .xlsx workbook that hold one column; two texts share a number."""
    main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    unique = list(dict.fromkeys(texts))
    items = "".join(f"<si><r><t>{text[:3]}</t></r><r><t>{text[3:]}</t></r></si>" for text in unique)
    rows = "".join(
        f'<row r="{n}"><c r="A{n}" t="s"><v>{unique.index(text)}</v></c></row>'
        for n, text in enumerate(texts, 1)
    )
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as book:
        book.writestr("xl/sharedStrings.xml", f'<sst xmlns="{main}">{items}</sst>')
        book.writestr(
            "xl/worksheets/sheet1.xml",
            f'<worksheet xmlns="{main}"><sheetData>{rows}<row r="9"/></sheetData></worksheet>',
        )
    return content.getvalue()


def test_a_column_is_read_from_csv_and_from_a_workbook_alike():
    texts = [" You are a coach, and", "You are a poet", " You are a coach, and"]
    table = io.StringIO()
    csv.writer(table).writerows([text] for text in texts)
    for name, content in (
        ("sp/Role_Play_Instruction.csv", b"\xef\xbb\xbf" + table.getvalue().encode()),
        ("bn/Role_Play_Instruction_n.xlsx", spreadsheet(texts)),
    ):
        rows = rows_of("first_column", name, content)
        assert [row["text"] for row in rows] == [
            "You are a coach, and",
            "You are a poet",
            "You are a coach, and",
        ]
        assert {row["category"] for row in rows} == {"Role_Play_Instruction"}
        assert {row["language"] for row in rows} == {"es" if name.startswith("sp") else "bn"}


# ---- from the archive to the rows -----------------------------------------------------------


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """A source whose list names two made-up files; yields it and a function that says what GitHub sends."""
    sent = tmp_path / "sent.tar.gz"
    lines = [f"{path_key(path)} {blob_id(FILES[path])[:8]}\n" for path in USED]
    (tmp_path / "blobs").mkdir()
    (tmp_path / "blobs" / "cursorrules.txt").write_text("".join(lines))
    rows = [
        {"path": path, "blob": blob_id(FILES[path]), "text": FILES[path].decode().strip()} for path in USED
    ]
    joined = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()
    monkeypatch.setattr(derivation, "BLOBS", tmp_path / "blobs")
    monkeypatch.setattr(download, "RETRIES", 0)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("TINYGUARD_MIRROR", raising=False)
    asked = []

    def answer(self, url, output_file, pooch, **options):
        asked.append(url)
        shutil.copyfile(sent, output_file)

    monkeypatch.setattr(download.pooch.HTTPDownloader, "__call__", answer)
    source = find_source("cursorrules")
    file = source.files[0].model_copy(
        update={"sha256": hashlib.sha256(joined).hexdigest(), "bytes": len(joined)}
    )
    return source.model_copy(update={"files": [file]}), lambda files: packed(sent, files), asked


def failure(source, tmp_path):
    with pytest.raises(SourceError) as caught:
        obtain(source)
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith("source cursorrules: cursorrules.derived.jsonl: ")
    assert not [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]
    return message


def test_a_source_is_fetched_from_the_archive_of_its_commit_once(repository, tmp_path):
    source, send, asked = repository
    send(FILES)
    fetched = fetch_source(source, tmp_path / "out.parquet", SETTINGS, tmp_path)
    records = read_records(tmp_path / "out.parquet")
    assert [record.text for record in records] == ["Réponds court.", "---\nglobs: **/*\n---\nUse tabs."]
    assert {(record.label, record.family, record.split) for record in records} == {
        ("benign", "coding_rules", "test")
    }
    assert fetched.files == {"cursorrules.derived.jsonl": source.files[0].sha256}
    assert obtain(source) == fetched.paths
    assert asked == [source.files[0].derived.archive]
    kept = [path.name for path in (tmp_path / "cache").rglob("*") if path.is_file()]
    assert kept == ["cursorrules.derived.jsonl"]  # not the archive


def test_a_damaged_joined_file_is_joined_again(repository):
    source, send, asked = repository
    send(FILES)
    path = obtain(source)["cursorrules.derived.jsonl"]
    path.write_bytes(path.read_bytes()[:-5])
    assert sha256_of(obtain(source)["cursorrules.derived.jsonl"]) == source.files[0].sha256
    assert len(asked) == 2


def test_an_archive_that_lacks_a_file_is_refused(repository, tmp_path):
    source, send, _ = repository
    send({path: content for path, content in FILES.items() if path != "rules/a.mdc"})
    message = failure(source, tmp_path)
    assert (
        f"lacks 1 of the 2 files that are used, with git blob ids {blob_id(FILES['rules/a.mdc'])[:8]};"
        in message
    )


def test_a_changed_file_is_named_with_both_blob_ids(repository, tmp_path):
    source, send, _ = repository
    changed = FILES | {"rules/b.mdc": b"Use spaces.\n"}
    send(changed)
    message = failure(source, tmp_path)
    found, expected = blob_id(changed["rules/b.mdc"]), blob_id(FILES["rules/b.mdc"])[:8]
    assert f"rules/b.mdc has git blob id {found}, expected {expected}..." in message


@pytest.mark.parametrize("kept", [0, 10, 100, -40])
def test_a_truncated_archive_is_refused(repository, tmp_path, kept):
    source, send, _ = repository
    path = send(FILES)
    path.write_bytes(path.read_bytes()[:kept])
    assert "the archive is damaged or truncated" in failure(source, tmp_path)


def test_an_answer_that_is_no_archive_is_refused(repository, tmp_path):
    source, send, _ = repository
    send(FILES).write_bytes(b"<html>Not found</html>")
    assert "the archive is damaged or truncated (ReadError" in failure(source, tmp_path)


def test_rows_other_than_the_registered_ones_are_refused(repository, tmp_path):
    source, send, _ = repository
    send(FILES)
    file = source.files[0].model_copy(update={"sha256": "a" * 64})
    message = failure(source.model_copy(update={"files": [file]}), tmp_path)
    assert "although each file in it is right" in message
    assert "a" * 64 in message


# ---- the lists ------------------------------------------------------------------------------


def test_every_derived_source_has_a_list_and_every_list_a_source():
    assert sorted(DERIVED) == sorted(path.stem for path in derivation.BLOBS.iterdir())
    for name in DERIVED:
        lines = (derivation.BLOBS / f"{name}.txt").read_text().splitlines()
        assert len(blob_list(name)) == len(lines), name  # no two paths share a key


@needs_mirror
@pytest.mark.parametrize("name", DERIVED)
def test_the_lists_are_those_of_the_true_files(name):
    source = find_source(name)
    rows = [json.loads(line) for line in obtain(source)[source.files[0].name].open(encoding="utf-8")]
    blobs = {path_key(_path(row)): row["blob"][:8] for row in rows}
    assert blob_list(name) == blobs
    assert [_path(row) for row in rows] == sorted(_path(row) for row in rows)


def _path(row):
    if "path" in row:
        return row["path"]
    locale = "" if row["locale"] == "en" else row["locale"] + "."
    return f"locales/{row['agent']}/index.{locale}json"


@needs_mirror
def test_the_true_coding_rules_are_joined_byte_for_byte(tmp_path):
    """Their files are the texts and line ends, so that the blob ids give the repository back."""
    true = obtain(find_source("cursorrules"))["cursorrules.derived.jsonl"]
    files = {}
    for row in map(json.loads, true.open(encoding="utf-8")):
        contents = [(row["text"] + end).encode() for end in ("\n", "\n\n")]
        files[row["path"]] = next(content for content in contents if blob_id(content) == row["blob"])
    archive = packed(tmp_path / "a.tar.gz", dict(reversed(files.items())))
    joined = "".join(derive(archive, "whole_text", blob_list("cursorrules"), "cursorrules"))
    assert joined.encode() == true.read_bytes()


@needs_mirror
@pytest.mark.parametrize("language", ["en", "hi", "zh"])
def test_the_true_role_play_is_read_from_its_tables(language):
    """Three of the ten files can be written again to the byte: their texts have no spaces around them."""
    true = obtain(find_source("xsafety_roleplay"))["xsafety_roleplay.derived.jsonl"]
    rows = [row for row in map(json.loads, true.open(encoding="utf-8")) if row["language"] == language]
    table = io.StringIO()
    csv.writer(table).writerows([row["text"]] for row in rows)
    text = table.getvalue().removesuffix("\r\n").encode()
    content = next(c for c in (text, b"\xef\xbb\xbf" + text) if blob_id(c) == rows[0]["blob"])
    assert rows_of("first_column", rows[0]["path"], content) == [
        {key: row[key] for key in ("language", "category", "path", "blob", "text")} for row in rows
    ]
