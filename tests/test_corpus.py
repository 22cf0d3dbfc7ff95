"""The authored corpus reads back as written, and damage is reported as file:line."""

from collections import Counter
from pathlib import Path

import pytest

from tinyguardrail.sources.corpus import read_corpus
from tinyguardrail.sources.source import SourceError

ROOT = Path(__file__).parent.parent
GOOD = """# a comment
- kind: everyday
  label: benign
  language: en
  texts:
    - How long does rice keep?
    - |-
      Two lines
      of text
"""


def read(tmp_path, content, name="a.yaml"):
    (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_corpus(tmp_path)


def test_a_section_gives_its_fields_to_each_text(tmp_path):
    first, second = read(tmp_path, GOOD)
    assert (first.text, first.label, first.family, first.language) == (
        "How long does rice keep?",
        "benign",
        "everyday",
        "en",
    )
    assert second.text == "Two lines\nof text"
    assert first.parent_id != second.parent_id


@pytest.mark.parametrize(
    ("old", "new", "line", "says"),
    [
        ("  label: benign\n", "", 2, "no label"),
        ("label: benign", "label: harmless", 3, "unknown label 'harmless'"),
        ("label: benign", "label: obfuscation", 3, "unknown label"),
        ("kind: everyday", "kind: [1, 2]", 2, "kind must be one word"),
        ("language: en", "lang: en", 2, "no language"),
        ("    - How long does rice keep?", "    - Note: this breaks", 6, "quote it if it holds a colon"),
        ("    - How long does rice keep?", '    - ""', 6, "expected a text"),
        ("    - How long does rice keep?", "    - 'open", 6, "bad YAML"),
        ("      of text", "      of text\n    - How long does rice keep?", 10, "stands at"),
    ],
)
def test_damage_is_reported_with_file_and_line(tmp_path, old, new, line, says):
    with pytest.raises(SourceError) as caught:
        read(tmp_path, GOOD.replace(old, new))
    message = str(caught.value)
    assert message.startswith(f"{tmp_path / 'a.yaml'}:{line}: ") or says == "bad YAML"
    assert "a.yaml:" in message
    assert says in message
    assert "\n" not in message


def test_a_file_that_is_not_utf8_is_named(tmp_path):
    with pytest.raises(SourceError, match=r"a\.yaml: not UTF-8"):
        read(tmp_path, b"\xff\xfe\x00")


def test_an_empty_folder_is_an_error(tmp_path):
    with pytest.raises(SourceError, match=r"no \*\.yaml file"):
        read_corpus(tmp_path)


def test_the_committed_corpus_covers_the_design():
    records = read_corpus(ROOT / "data/corpus")
    assert len(records) >= 1500
    assert Counter(record.label for record in records).keys() == {"benign", "direct_injection", "jailbreak"}
    families = {record.family for record in records}
    for kind in (
        "everyday",
        "trigger_words_common",
        "trigger_words_technical",
        "trigger_words_creative",
        "trigger_words_multilingual",
        "email",
        "web_page",
        "code_file",
        "tool_result",
        "persona",
        "role_play",
        "hypothetical",
        "refusal_suppression",
        "prefix_forcing",
        "many_shot",
    ):
        assert kind in families
    for language in {record.language for record in records}:
        labels = {record.label for record in records if record.language == language}
        assert labels == {"benign", "direct_injection", "jailbreak"}, f"{language} would give the label away"
