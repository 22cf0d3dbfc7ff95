"""The registry says what each source is; `fetch` writes what it says, the same on every machine."""

import hashlib
import json
import os
import re
from pathlib import Path

import pytest
from pyarrow import parquet

import tinyguardrail.sources.registry as registry
from tinyguardrail.data.records import Record, read_records
from tinyguardrail.sources.docstrings import mine_code
from tinyguardrail.sources.registry import fetch_source, find_source, not_requested, read_sources, sources
from tinyguardrail.sources.source import SourceError
from tinyguardrail_common.files import sha256_of

MIRROR = os.environ.get("TINYGUARD_MIRROR")
ROW = """
- name: some_set
  title: Some set
  licence: MIT
  page: https://example.org/set
  about: a set
  label_rule: Everything is benign.
  loader: awesome_prompts
  language: en
  access: open
  kind: classification
  files:
    - name: prompts.csv
      role: train
      url: https://example.org/0123456789012345678901234567890123456789/prompts.csv
      sha256: "{hash}"
      bytes: 20
""".format(hash="a" * 64)


class Settings:
    """What `fetch_source` reads of `params.data`."""

    docstring_packages = ("typer",)
    max_characters = 100_000


def written(tmp_path, text):
    path = tmp_path / "sources.yaml"
    path.write_text(text, encoding="utf-8")
    return path


# ---- the registry file ----------------------------------------------------------------------


def test_the_sources_of_the_design_are_registered():
    wanted = (
        "authored docstrings code jbb_behaviors jbb_artifacts wildguardmix toxic_chat deepset notinject "
        "wildguard_benign bipia advbench harmbench strongreject malicious_instruct in_the_wild "
        "forbidden_questions hackaprompt self_reminder gptfuzzer neuralchemy alpaca alpaca_zh gpteacher "
        "xquad ud_pud awesome_prompts pint wikitext_2 s_eval s_eval_dev owasp_aitg jailbench_zh catqa "
        "piarena piarena_dev tasktracker injecagent "
        "arena_hard banking77 belle_eval bfcl biggen_bench clinc150 coconot coconot_contrast "
        "exams exams_test glaive_toolcall komt_bench metatool_queries mtbench101 oasst oasst_tree "
        "prompts_chat promptshield_conversation ru_arena taskbench_dailylifeapis vigogne_oasst_fr "
        "flowgpt_benign lobe_agents cursorrules owasp_top10_docs xsafety_roleplay"
    )
    assert set(sources()) == set(wanted.split())


def test_every_file_is_pinned_and_no_two_differ_in_hash_alone():
    hashes = {}
    for source in sources().values():
        for file in source.files:
            if source.access == "on_request":
                continue
            address = file.derived.archive if file.derived else file.url
            assert re.search(r"/[0-9a-f]{40}(/|$)", address), (source.name, file.name)
            assert hashes.setdefault(address, (file.sha256, file.bytes)) == (file.sha256, file.bytes)


def test_every_family_that_a_loader_calls_a_threat_has_one_kind():
    record = Record("text", "jailbreak", "advbench", "plain_request", "none", "p", "en")
    assert find_source("advbench").intent_of(record) == "harm"
    assert find_source("jbb_artifacts").intent_of(record._replace(family="pair")) == "jailbreak"
    assert find_source("advbench").intent_of(record._replace(label="benign", family="new")) == "benign"
    with pytest.raises(SourceError, match="source advbench: threats says nothing of family new, whose rows"):
        find_source("advbench").intent_of(record._replace(family="new"))
    with pytest.raises(
        SourceError, match="calls family plain_request harm, but its rows are direct_injection"
    ):
        find_source("advbench").intent_of(record._replace(label="direct_injection"))


def test_every_source_says_how_it_is_labelled_in_one_sentence():
    for source in sources().values():
        assert source.label_rule.endswith("."), source.name
        assert ". " not in source.label_rule, source.name
        assert source.licence, source.name


def test_no_benchmark_is_trained_on():
    tests = (
        "jbb_behaviors jbb_artifacts notinject wildguard_benign advbench strongreject malicious_instruct "
        "pint injecagent arena_hard bfcl biggen_bench cursorrules exams_test mtbench101"
    )
    for name in tests.split():
        assert {file.role for file in find_source(name).files} <= {"test", "reference"}, name


def test_a_good_row_is_read(tmp_path):
    assert read_sources(written(tmp_path, ROW))["some_set"].files[0].role == "train"


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("  licence: MIT", "  license: MIT", r"source some_set: license: is an unknown key"),
        ("  title: Some set\n", "", r"source some_set: title: is missing"),
        ("role: train", "role: training", r"source some_set: files\.0\.role: .*'test'"),
        ("bytes: 20", "size: 20", r"source some_set: files\.0\.size: is an unknown key"),
        ("bytes: 20", 'bytes: "20"', r"source some_set: files\.0\.bytes: "),
        ("      bytes: 20\n", "", r"needs url, sha256 and bytes, or none of them"),
        ("0123456789012345678901234567890123456789", "main", r"is not pinned to a commit"),
        ('"' + "a" * 64 + '"', "abc", r"source some_set: files\.0\.sha256"),
        ("loader: awesome_prompts", "loader: awsome", r"source some_set: loader: .*'awsome' is no loader"),
        ("language: en", "language: english", r"source some_set: language"),
        ("access: open", "access: public", r"source some_set: access"),
        ("loader: awesome_prompts", "loader: authored", r"needs no download"),
        ("name: some_set", "name: Some Set", r"source Some Set: name"),
        ("  page: https://example.org/set\n", "", r"page is missing"),
        (
            "  loader: awesome",
            "  threats: {x: rude}\n  loader: awesome",
            r"source some_set: threats\.x: .*'harm'",
        ),
        ("  files:", "  files:\n    - {name: own.csv, role: dev}", r"neither trained on nor a test"),
        ("- name: some_set", "name: some_set", r"not YAML|expected a list"),
    ],
)
def test_a_wrong_row_is_an_error_that_names_source_and_key(tmp_path, old, new, says):
    assert old in ROW
    with pytest.raises(SourceError, match=says) as caught:
        read_sources(written(tmp_path, ROW.replace(old, new, 1)))
    assert "\n" not in str(caught.value)


ARCHIVE = "https://codeload.github.com/a/b/tar.gz/0123456789012345678901234567890123456789"


@pytest.mark.parametrize(
    ("derived", "says"),
    [
        (
            f"{{archive: {ARCHIVE}, rule: whole_txt}}",
            r"prompts\.csv: rule 'whole_txt' is none of prompt_block,",
        ),
        (f"{{archive: {ARCHIVE[:-40]}main, rule: whole_text}}", r"files\.0\.derived\.archive: "),
        (f"{{archive: {ARCHIVE}}}", r"files\.0\.derived\.rule: is missing"),
        (
            f"{{archive: {ARCHIVE}, rule: whole_text}}\n      url: {ARCHIVE}/a.csv",
            r"url or derived, not both",
        ),
    ],
)
def test_a_wrong_derivation_is_an_error_that_names_source_and_key(tmp_path, derived, says):
    row = re.sub(r"url: .*", lambda _: f"derived: {derived}", ROW)
    with pytest.raises(SourceError, match=f"source some_set: .*{says}"):
        read_sources(written(tmp_path, row))
    good = re.sub(r"url: .*", f"derived: {{archive: {ARCHIVE}, rule: whole_text}}", ROW)
    assert read_sources(written(tmp_path, good))["some_set"].files[0].derived.rule == "whole_text"


def test_a_source_that_stands_twice_is_an_error(tmp_path):
    with pytest.raises(SourceError, match="source some_set stands there twice"):
        read_sources(written(tmp_path, ROW + ROW))


def test_an_open_source_without_a_hash_is_an_error(tmp_path):
    row = re.sub(r"      (url|sha256|bytes): .*\n", "", ROW)
    with pytest.raises(SourceError, match="every file needs url, sha256 and bytes"):
        read_sources(written(tmp_path, row))
    assert read_sources(written(tmp_path, row.replace("access: open", "access: on_request")))


def test_an_unknown_source_is_named_with_those_known():
    with pytest.raises(
        SourceError, match="unknown source 'webtext'; registered are authored, docstrings, code"
    ):
        find_source("webtext")


def test_the_data_card_is_told_what_is_missing_and_why():
    missing = not_requested(["authored", "pint"])
    assert set(missing) == set(sources()) - {"authored", "pint"}
    assert missing["advbench"] == "not asked for"
    assert "https://huggingface.co/datasets/allenai/wildguardmix and HF_TOKEN" in missing["wildguardmix"]
    assert "on request" in not_requested([])["pint"]


# ---- fetching -------------------------------------------------------------------------------


def test_docstrings_and_code_are_mined_and_copies_counted(tmp_path):
    for name in ("docstrings", "code"):
        fetched = fetch_source(find_source(name), tmp_path / f"{name}.parquet", Settings, tmp_path)
        table = parquet.read_table(tmp_path / f"{name}.parquet")
        assert table.schema.names == ["package", "module", "name", "text"]
        assert table.num_rows == fetched.rows == len(set(table["text"].to_pylist()))
        assert fetched.files == {}
    assert fetched.rows + fetched.dropped.get("copy", 0) == len(mine_code("typer"))


def test_the_authored_corpus_is_read_from_its_folder(tmp_path):
    text = "- {kind: chat, label: benign, language: en, texts: [Hello there, How are you]}\n"
    (tmp_path / "a.yaml").write_text(text)
    fetched = fetch_source(find_source("authored"), tmp_path / "authored.parquet", Settings, tmp_path)
    assert [record.text for record in read_records(tmp_path / "authored.parquet")] == [
        "Hello there",
        "How are you",
    ]
    assert fetched[:3] == (2, {}, {"a.yaml": sha256_of(tmp_path / "a.yaml")})


@pytest.fixture
def mirrored(tmp_path, monkeypatch):
    """A mirror folder with one registered source of three rows, one of them a copy."""
    content = b'act,prompt\r\n"A","Act as a poet, please"\r\nB,Act as a chef\r\nC,Act as a chef\r\n'
    mirror = tmp_path / "mirror"
    mirror.mkdir()
    (mirror / "any name").write_bytes(content)
    row = ROW.replace("a" * 64, sha256_of(mirror / "any name")).replace("bytes: 20", f"bytes: {len(content)}")
    found = read_sources(written(tmp_path, row))
    monkeypatch.setattr(registry, "sources", lambda: found)
    monkeypatch.setenv("TINYGUARD_MIRROR", str(mirror))
    return found["some_set"]


def test_a_source_is_fetched_by_hash_whatever_the_file_is_called(mirrored, tmp_path):
    fetched = fetch_source(mirrored, tmp_path / "out.parquet", Settings, tmp_path)
    records = read_records(tmp_path / "out.parquet")
    assert [record.text for record in records] == ["Act as a poet, please", "Act as a chef"]
    assert {record.source for record in records} == {"some_set"}
    assert fetched.dropped == {"copy": 1}
    assert fetched.files == {"prompts.csv": mirrored.files[0].sha256}


def test_a_source_of_which_no_row_is_left_is_an_error(mirrored, tmp_path):
    with pytest.raises(SourceError, match=r"some_set: no row is left; dropped were \{'too_long': 3\}"):
        fetch_source(mirrored, tmp_path / "out.parquet", type("S", (), {"max_characters": 5}), tmp_path)
    assert not (tmp_path / "out.parquet").exists()


def test_the_fetch_stage_reports_what_it_wrote_and_not_where_it_came_from(
    mirrored, tmp_path, monkeypatch, capsys
):
    from importlib import util
    from types import SimpleNamespace

    stage = Path(__file__).parents[1] / "stages" / "fetch.py"
    specification = util.spec_from_file_location("fetch_stage", stage)
    module = util.module_from_spec(specification)
    specification.loader.exec_module(module)
    monkeypatch.chdir(tmp_path)
    settings = SimpleNamespace(sources=["some_set"], max_characters=100_000)
    module.main(SimpleNamespace(data=settings))
    report = json.loads(Path("data/raw/report.json").read_text())
    written = hashlib.md5(Path("data/raw/some_set.parquet").read_bytes(), usedforsecurity=False)
    assert report["some_set"] == {
        "rows": 2,
        "dropped": {"copy": 1},
        "files": {"prompts.csv": mirrored.files[0].sha256},
        "parquet_md5": written.hexdigest(),
    }
    assert sorted(path.name for path in Path("data/raw").iterdir()) == ["report.json", "some_set.parquet"]
    assert "any name" in capsys.readouterr().out
    first = Path("data/raw/some_set.parquet").read_bytes()
    module.main(SimpleNamespace(data=settings))
    assert Path("data/raw/some_set.parquet").read_bytes() == first


@pytest.mark.skipif(not MIRROR, reason="needs TINYGUARD_MIRROR")
def test_wikitext_becomes_articles_in_their_published_splits(tmp_path):
    fetched = fetch_source(find_source("wikitext_2"), tmp_path / "w.parquet", Settings, tmp_path)
    table = parquet.read_table(tmp_path / "w.parquet")
    assert table.schema.names == ["split", "text"]
    assert fetched.rows == 720
    assert fetched.dropped == {}
    counts = {split: table["split"].to_pylist().count(split) for split in ("train", "validation", "test")}
    assert counts == {"train": 600, "validation": 60, "test": 60}  # as counted by Merity et al.
    for split in counts:
        path = fetched.paths[{"validation": "valid"}.get(split, split) + ".txt"]
        rows = [row["text"] for row in table.to_pylist() if row["split"] == split]
        assert "".join(rows) == path.read_bytes().decode()
