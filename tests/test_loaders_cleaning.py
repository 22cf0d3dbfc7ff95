"""Rows of all sources are cleaned alike, and a file that cannot be read is named."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loader_files import as_csv, brief
from tinyguardrail.data.records import Record
from tinyguardrail.sources.cleaning import clean
from tinyguardrail.sources.registry import find_source
from tinyguardrail.sources.source import SourceError


def row(text, **changes):
    fields = {"label": "benign", "source": "awesome_prompts", "family": "f", "transform": "none"}
    return Record(text, **{**fields, "parent_id": "p", "language": "en", "split": "", **changes})


def test_rows_without_text_or_with_lone_surrogates_or_too_long_are_counted():
    dropped = Counter()
    rows = [row(""), row(" \n"), row("a\ud800b"), row("x" * 11), row("x" * 10), row("a\x00\u202eb\x07")]
    kept = list(clean(rows, find_source("awesome_prompts"), dropped, max_characters=10))
    assert [record.text for record in kept] == ["x" * 10, "a\x00\u202eb\x07"]
    assert dropped == {"no_text": 2, "not_unicode": 1, "too_long": 1}


def test_copies_are_dropped_from_training_and_a_published_test_set_stays_as_published():
    dropped = Counter()
    rows = [row("a"), row("a"), row("A"), row("a", split="test"), row("a", split="test")]
    kept = list(clean(rows, find_source("awesome_prompts"), dropped, None))
    assert [(record.text, record.split) for record in kept] == [
        ("a", ""),
        ("A", ""),
        ("a", "test"),
        ("a", "test"),
    ]
    assert dropped == {"copy": 1}


def test_a_label_that_no_public_source_may_give_is_an_error():
    with pytest.raises(SourceError, match="source awesome_prompts: unknown label 'obfuscation'"):
        list(clean([row("a", label="obfuscation")], find_source("awesome_prompts"), Counter(), None))


@given(st.lists(st.text(max_size=4)))
def test_every_row_is_kept_or_counted(texts):
    dropped = Counter()
    kept = list(clean(map(row, texts), find_source("awesome_prompts"), dropped, max_characters=3))
    assert len(kept) + dropped.total() == len(texts)


def test_a_file_that_is_not_utf8_is_named_with_the_byte(load):
    with pytest.raises(SourceError, match=r"source awesome_prompts: prompts\.csv: not UTF-8 at byte 16"):
        load("awesome_prompts", {"prompts.csv": b"act,prompt\r\na,Na\xefve\r\n"})


def test_a_byte_order_mark_and_newlines_in_fields_are_read(load):
    content = b"\xef\xbb\xbf" + as_csv(["act", "prompt"], ["Poet", 'Act as a "poet":\r\nwrite,\nplease'])
    found, dropped = load("awesome_prompts", {"prompts.csv": content})
    assert brief(found) == [('Act as a "poet":\r\nwrite,\nplease', "benign", "act_as", "")]
    assert dropped == {}


def test_a_field_longer_than_the_default_limit_of_csv_is_read(load):
    long = "word " * 60_000
    found, _ = load("awesome_prompts", {"prompts.csv": as_csv(["act", "prompt"], ["a", long])}, 400_000)
    assert found[0].text == long


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (as_csv(["act", "text"], ["a", "b"]), r"row 1 has no column prompt; it has act, text"),
        (b"act,prompt\r\na\r\n", r"line 2 has not the 2 fields of the header"),
        (b"act,prompt\r\na,b,c\r\n", r"line 2 has not the 2 fields of the header"),
        (b'act,prompt\r\na,"b"c\r\n', r"bad CSV after line 1"),
    ],
)
def test_a_damaged_csv_file_is_named(load, content, says):
    with pytest.raises(SourceError, match=rf"source awesome_prompts: prompts\.csv: {says}"):
        load("awesome_prompts", {"prompts.csv": content})


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b'[{"instruction": "a",]', r"not JSON at line 1"),
        (b'{"instruction": "a"}', r"expected a list, found dict"),
        (b'["a"]', r"row 1: expected an object"),
        (b'[{"instruction": 7, "input": ""}]', r"row 1: instruction = 7 is not text"),
    ],
)
def test_a_damaged_json_file_is_named(load, content, says):
    with pytest.raises(SourceError, match=rf"source alpaca_zh: alpaca_zh_demo\.json: {says}"):
        load("alpaca_zh", {"alpaca_zh_demo.json": content})


def test_a_lone_surrogate_in_json_is_counted_not_written(load):
    content = b'[{"instruction": "\\ud83d", "input": ""}, {"instruction": "\\ud83d\\ude00", "input": ""}]'
    found, dropped = load("alpaca_zh", {"alpaca_zh_demo.json": content})
    assert [record.text for record in found] == ["😀"]
    assert dropped == {"not_unicode": 1}
