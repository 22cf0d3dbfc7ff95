"""Parents stay in one split, and copies and near duplicates do not cross."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from made_up_rows import invented, row, settings
from tinyguardrail.synthesis.splits import LeakFilter, SplitError, check_counts, split_of
from tinyguardrail.synthesis.store import RecordStore

LEAK = "Write a long letter to my landlord about the broken heating in the kitchen and the bathroom"


def shares(seed, validation, test):
    changed = {"split_seed": seed, "validation_fraction": validation, "test_fraction": test}
    return settings().data.model_copy(update=changed)


@given(st.text(min_size=1), st.integers(0, 9))
def test_a_parent_has_one_split_whatever_else_exists(parent, seed):
    data = shares(seed, 0.2, 0.2)
    assert split_of(parent, data) == split_of(parent, data)


def test_splits_have_the_shares_asked_for():
    data = shares(3, 0.1, 0.3)
    counts = Counter(split_of(f"parent{i}", data) for i in range(20000))
    assert counts["validation"] / 20000 == pytest.approx(0.1, abs=0.01)
    assert counts["test"] / 20000 == pytest.approx(0.3, abs=0.01)


def filtered(tmp_path, **by_split):
    """Row numbers that stay, by split, and what was counted; benchmark rows under `fixed`."""
    store, kept = RecordStore(tmp_path / "rows"), {}
    leaks = LeakFilter(store)
    for split, rows in by_split.items():
        numbers = store.extend(rows)
        where = "test" if split == "fixed" else split
        kept[split] = [store[n].text for n in leaks.keep(numbers, where, fixed=split == "fixed")]
    return kept, dict(leaks.removed)


def test_a_planted_leak_is_removed_from_training_and_counted_by_its_sources(tmp_path):
    kept, removed = filtered(
        tmp_path,
        test=[row(LEAK, source="bench")],
        validation=[row(LEAK + " too"), row(invented("a", 9))],
        train=[
            row(LEAK + "!", source="web"),
            row(invented("b", 9)),
            row(invented("a", 9) + " x", source="web"),
        ],
    )
    assert kept["test"] == [LEAK]
    assert kept["validation"] == [invented("a", 9)]
    assert kept["train"] == [invented("b", 9)]
    assert removed == {
        ("near a test row", "authored", "bench"): 1,
        ("near a test row", "web", "bench"): 1,
        ("near a validation row", "web", "authored"): 1,
    }


def test_copies_within_a_split_fall_but_near_duplicates_stay(tmp_path):
    kept, removed = filtered(tmp_path, train=[row(LEAK), row(LEAK.upper()), row(LEAK + " now")])
    assert kept["train"] == [LEAK, LEAK + " now"]
    assert removed == {("copy in its split", "authored", "authored"): 1}


def test_a_benchmark_stays_as_published_and_outranks_everything(tmp_path):
    kept, removed = filtered(
        tmp_path, fixed=[row(LEAK), row(LEAK)], test=[row(LEAK)], train=[row(LEAK + ".")]
    )
    assert kept["fixed"] == [LEAK, LEAK]
    assert kept["test"] == kept["train"] == []
    assert sum(removed.values()) == 2


def test_a_split_cannot_be_filtered_after_one_that_it_outranks(tmp_path):
    with pytest.raises(SplitError, match="rows of test came after rows of train"):
        filtered(tmp_path, train=[row(LEAK)], test=[row(LEAK)])


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_a_split_without_threats_is_an_error_that_names_it(split):
    counts = Counter(
        {(s, label): 5 for s in ("train", "validation", "test") for label in ("benign", "jailbreak")}
    )
    check_counts(counts)
    del counts[split, "jailbreak"]
    with pytest.raises(SplitError, match=f"split {split} has 5 rows, 0 of them threats"):
        check_counts(counts)
