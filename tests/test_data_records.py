"""Rows keep their schema, and a file of rows is whole or not there."""

import pytest

from made_up_rows import row
from tinyguardrail.data.records import RecordError, RecordWriter, read_records, write_records


def test_records_survive_parquet(tmp_path):
    records = [row("a\nb ‮ 漢字"), row("second", label="jailbreak")] * 5000  # more than one batch
    write_records(tmp_path / "r.parquet", records)
    assert read_records(tmp_path / "r.parquet") == records


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        (row(label="nice"), "row 1: unknown label 'nice'"),
        (row(" "), "no text"),
        (row(intent="harm"), "row 1 of source authored: intent 'harm' does not go with label 'benign'"),
        (row(label="jailbreak", intent="benign"), "intent 'benign' does not go with label 'jailbreak'"),
        (row(label="jailbreak", intent="rude"), "intents are benign, injection, jailbreak, harm"),
    ],
)
def test_a_bad_row_is_named_and_nothing_is_written(tmp_path, bad, says):
    with pytest.raises(RecordError, match=says):
        write_records(tmp_path / "r.parquet", [row(), bad])
    assert list(tmp_path.iterdir()) == []


def test_a_writer_that_is_interrupted_leaves_the_old_file(tmp_path):
    write_records(tmp_path / "r.parquet", [row("old")])
    with pytest.raises(KeyboardInterrupt), RecordWriter(tmp_path / "r.parquet") as writer:
        writer.write(row("new"))
        raise KeyboardInterrupt
    assert [record.text for record in read_records(tmp_path / "r.parquet")] == ["old"]
    assert len(list(tmp_path.iterdir())) == 1


def test_a_damaged_parquet_file_is_named(tmp_path):
    (tmp_path / "r.parquet").write_bytes(b"not parquet")
    with pytest.raises(RecordError, match=r"r\.parquet: not a parquet file"):
        read_records(tmp_path / "r.parquet")
    with pytest.raises(RecordError, match=r"gone\.parquet: not found"):
        read_records(tmp_path / "gone.parquet")
