"""Rows keep their schema, parents stay in one split, copies do not cross, controls stand beside attacks."""

from collections import Counter
from random import Random
from string import ascii_lowercase

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinyguardrail.attacks.registry import FAMILIES
from tinyguardrail.data.docstrings import Docstring, DocstringError, mine_package
from tinyguardrail.data.records import Record, RecordError, read_records, write_records
from tinyguardrail.data.registry import SourceError, find_source
from tinyguardrail.data.splits import (
    SplitError,
    assign_split,
    check_splits,
    remove_near_duplicates,
    shingles,
)
from tinyguardrail.data.synthesis import synthesize
from tinyguardrail.params import Attacks, Data


def row(text="some text", label="benign", parent="p", split="train", **changes):
    fields = {"source": "authored", "family": "f", "transform": "none", "language": "en", **changes}
    return Record(text, label, parent_id=parent, split=split, **fields)


def authored():
    """Texts of invented words, so that no two are near duplicates."""
    found = []
    for label in ("benign", "direct_injection", "jailbreak"):
        for number in range(60):
            rng = Random(f"{label}{number}")
            words = ["".join(rng.choices(ascii_lowercase, k=rng.randint(4, 9))) for _ in range(9)]
            found.append(row(" ".join(words), label, f"{label}{number}", ""))
    return found


DATA = Data(
    sources=["authored"],
    docstring_packages=[],
    split_seed=1,
    validation_fraction=0.2,
    test_fraction=0.2,
    technical_negatives=2,
    trigger_share=0.5,
)
ATTACKS = Attacks(
    flipattack=24,
    homoglyph=6,
    encoding=9,
    zero_width=6,
    typoglycemia=6,
    validation_rows=2,
    test_rows=3,
    max_characters=200,
)
DOCSTRINGS = [
    Docstring(
        "pkg", "a.py", "f", "Return the password hash of a stored user, ignoring the letter case of names."
    ),
    Docstring(
        "pkg", "b.py", "g", "Return the sorted list of the rows that have the largest area of them all."
    ),
]


def test_records_survive_parquet(tmp_path):
    records = [row("a\nb ‮ 漢字"), row("second", label="jailbreak")]
    write_records(tmp_path / "r.parquet", records)
    assert read_records(tmp_path / "r.parquet") == records


@pytest.mark.parametrize(
    ("bad", "says"), [(row(label="nice"), "row 1: unknown label 'nice'"), (row(" "), "no text")]
)
def test_a_bad_row_is_named_and_nothing_is_written(tmp_path, bad, says):
    with pytest.raises(RecordError, match=says):
        write_records(tmp_path / "r.parquet", [row(), bad])
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_parquet_file_is_named(tmp_path):
    (tmp_path / "r.parquet").write_bytes(b"not parquet")
    with pytest.raises(RecordError, match=r"r\.parquet: not a parquet file"):
        read_records(tmp_path / "r.parquet")


@given(st.text(min_size=1), st.integers(0, 9))
def test_a_parent_has_one_split_whatever_else_exists(parent, seed):
    assert assign_split(parent, seed, 0.2, 0.2) == assign_split(parent, seed, 0.2, 0.2)


def test_splits_have_the_shares_asked_for():
    counts = Counter(assign_split(f"parent{i}", 3, 0.1, 0.3) for i in range(20000))
    assert counts["validation"] / 20000 == pytest.approx(0.1, abs=0.01)
    assert counts["test"] / 20000 == pytest.approx(0.3, abs=0.01)


def test_a_planted_leak_is_removed_from_training_and_the_test_row_stays():
    leak = "Write a long letter to my landlord about the broken heating in the kitchen and the bathroom"
    records = [
        row(leak + "!", parent="a", split="train"),
        row("Something else entirely", parent="b"),
        row(leak, parent="c", split="test"),
    ]
    kept, dropped = remove_near_duplicates(records)
    assert [record.parent_id for record in kept] == ["b", "c"]
    assert dropped == {"train": 1, "validation": 0, "test": 0}


def test_shingles_ignore_case_and_spacing():
    assert shingles("Hello   World") == shingles("hello world")


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_an_empty_split_is_an_error_that_names_it(split):
    records = [
        row(parent=f"{s}{label}", label=label, split=s)
        for s in ("train", "validation", "test")
        if s != split
        for label in ("benign", "jailbreak")
    ]
    with pytest.raises(SplitError, match=f"split {split} has 0 rows"):
        check_splits(records)


def test_a_parent_in_two_splits_is_an_error():
    with pytest.raises(SplitError, match="parent p stands in train and test"):
        check_splits([row(split="train"), row(split="test")])


def test_synthesis_puts_a_control_beside_every_attack_and_keeps_parents_together():
    records, _ = synthesize(authored(), DOCSTRINGS, DATA, ATTACKS)
    counts = Counter(
        (record.split, record.transform, record.label) for record in records if record.transform != "none"
    )
    assert counts
    for (split, transform, label), number in counts.items():
        assert label in ("benign", "obfuscation")
        assert counts[split, transform, "benign"] == counts[split, transform, "obfuscation"] == number
        family = next(family for family in FAMILIES.values() if transform in family.transforms)
        train = getattr(ATTACKS, family.name) / len(family.transforms)
        assert number == {"train": train, "validation": 2, "test": 3}[split]
    home = {}
    for record in records:
        assert home.setdefault(record.parent_id, record.split) == record.split
    parents = {record.parent_id: record.label for record in records if record.transform == "none"}
    for record in records:
        if record.transform != "none":
            assert (record.label == "benign") == (parents[record.parent_id] == "benign")
    assert (
        sum(record.family == "technical_documentation" and record.transform == "none" for record in records)
        == 2
    )


def test_synthesis_is_a_function_of_its_seed():
    assert synthesize(authored(), DOCSTRINGS, DATA, ATTACKS) == synthesize(
        authored(), DOCSTRINGS, DATA, ATTACKS
    )
    other = DATA.model_copy(update={"split_seed": 2})
    assert synthesize(authored(), DOCSTRINGS, DATA, ATTACKS) != synthesize(
        authored(), DOCSTRINGS, other, ATTACKS
    )


def test_asking_for_more_than_there_is_names_the_setting():
    with pytest.raises(SplitError, match=r"attacks\.flipattack asks for"):
        synthesize(authored(), DOCSTRINGS, DATA, ATTACKS.model_copy(update={"flipattack": 40000}))
    with pytest.raises(SplitError, match=r"data\.technical_negatives asks for"):
        synthesize(authored(), [], DATA, ATTACKS)


def test_docstrings_come_from_installed_source_files():
    mined = mine_package("typer")
    assert any(docstring.name for docstring in mined)
    assert mined == mine_package("typer")
    with pytest.raises(DocstringError, match="'no_such_package' is not installed"):
        mine_package("no_such_package")


def test_an_unknown_source_is_named_with_the_known_ones():
    with pytest.raises(SourceError, match="unknown source 'webtext'; registered are authored, docstrings"):
        find_source("webtext")
