"""What a stage writes into a table of scores is what the analysis reads from it."""

import numpy as np
import pyarrow.parquet as pq
import pytest

from made_up_rows import row as made_up
from synthetic_scores import INTENTS
from tinyguardrail.data.labels import LABEL_OF_INTENT
from tinyguardrail_paper.scores.inputs import InputError
from tinyguardrail_paper.scores.score_table import GUARD, branch_columns, intent_probabilities

RECORDS = {
    row: made_up(f"text {row}", LABEL_OF_INTENT[intent], f"p{row}", "test", intent=intent)
    for row, intent in ((3, "harm"), (4, "benign"), (9, "injection"))
}


def columns(seed=0):
    generator = np.random.default_rng(seed)
    fast, deep = generator.dirichlet(np.ones(4), size=(2, len(RECORDS)))
    branches = branch_columns(INTENTS, fast, deep, generator.random(len(RECORDS)))
    rows = {"tokens": [5, 6, 7], "found_family": ["none"] * 3}
    return GUARD.row_columns(RECORDS) | branches | rows, fast, deep


def test_what_is_written_is_read(tmp_path):
    written, fast, deep = columns()
    GUARD.write(tmp_path / "seed0.parquet", written)
    table = GUARD.read(tmp_path / "seed0.parquet")
    assert table["row"].tolist() == [3, 4, 9]
    assert table["parent_id"].tolist() == ["p3", "p4", "p9"]
    assert table["intent"].tolist() == ["harm", "benign", "injection"]
    assert table["label"].tolist() == ["jailbreak", "benign", "direct_injection"]
    assert np.array_equal(intent_probabilities(table, "fast"), fast)
    assert np.array_equal(intent_probabilities(table, "deep"), deep)
    assert [path.name for path in tmp_path.iterdir()] == ["seed0.parquet"]


def test_a_table_without_a_column_is_not_written(tmp_path):
    written, *_ = columns()
    written.pop("deep_benign")
    with pytest.raises(ValueError, match=r"seed0\.parquet: no column deep_benign"):
        GUARD.write(tmp_path / "seed0.parquet", written)
    assert not list(tmp_path.iterdir())


def test_tables_of_seeds_are_of_the_same_rows(tmp_path):
    for seed in (0, 1):
        GUARD.write(tmp_path / f"seed{seed}.parquet", columns(seed)[0])
    files = GUARD.of_seeds([0, 1], tmp_path)
    assert len(GUARD.read_same_rows(files)) == 2
    GUARD.write(files[1], columns(1)[0] | {"tokens": [5, 6, 8]})
    with pytest.raises(InputError, match=r"seed1\.parquet: column tokens differs from .*; run: dvc"):
        GUARD.read_same_rows(files)


@pytest.mark.parametrize(
    ("column", "values", "message"),
    [
        (
            "router_score",
            [0.1, float("nan"), 0.2],
            r"column router_score has values outside \[0, 1\]; see",
        ),
        (
            "label",
            ["benign", "spam", "jailbreak"],
            r"unknown label 'spam'; allowed: benign, direct",
        ),
        (
            "intent",
            ["benign", "harm", "direct_injection"],
            r"unknown intent 'direct_injection'; allowed: benign, injection, jailbreak, harm",
        ),
    ],
)
def test_what_cannot_be_a_score_is_named(tmp_path, column, values, message):
    file = tmp_path / "seed0.parquet"
    GUARD.write(file, columns()[0] | {column: values})
    assert pq.read_schema(file).names
    with pytest.raises(InputError, match=rf"seed0\.parquet: {message}"):
        GUARD.read(file)
