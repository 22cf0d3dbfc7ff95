"""Rows kept on disk come back by number, and their codes choose them."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tinyguardrail.data.records import BATCH_ROWS, Record
from tinyguardrail.synthesis.store import RecordStore


def rows(number: int) -> list[Record]:
    return [
        Record(
            f"text {i} \u202e漢",
            ("benign", "jailbreak")[i % 2],
            f"s{i % 3}",
            "f",
            "none",
            f"p{i}",
            "en",
            "train",
        )
        for i in range(number)
    ]


def test_rows_come_back_across_batches(tmp_path):
    store, written = RecordStore(tmp_path / "rows"), rows(2 * BATCH_ROWS + 7)
    assert (store.extend(written) == np.arange(len(written))).all()
    for place in (0, BATCH_ROWS - 1, BATCH_ROWS, 2 * BATCH_ROWS, len(written) - 1):
        assert store[place] == written[place]
    assert (store.lengths() == [len(row.text) for row in written]).all()


@given(st.sets(st.sampled_from(["s0", "s1", "s2", "s9"])))
def test_where_is_the_plain_filter(tmp_path_factory, wanted):
    store, written = RecordStore(tmp_path_factory.mktemp("store") / "rows"), rows(50)
    store.extend(written)
    found = store.where(label="jailbreak", source=wanted)
    assert found.tolist() == [row.label == "jailbreak" and row.source in wanted for row in written]
    assert store.column("source").tolist() == [row.source for row in written]
