"""The two corpora: whose splits are used, and which text serves which purpose."""

from types import SimpleNamespace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from var_moe.evaluation.text import divide, evaluation_text
from var_moe.reference.corpus import (
    CorpusError,
    pack,
    read_documents,
    split_documents,
    stream,
    train_tokenizer,
)

SIZES = {"train": 60, "validation": 30, "test": 20}


def write_wikitext(folder, sizes=SIZES):
    rows = [
        {"split": split, "text": f" = Article {number} of {split} = \n {split} text number {number} . \n"}
        for split, count in sizes.items()
        for number in range(count)
    ]
    pq.write_table(pa.Table.from_pylist(rows), folder / "wikitext_2.parquet")


@pytest.fixture
def raw(tmp_path):
    write_wikitext(tmp_path)
    return tmp_path


def settings(**changes):
    train = SimpleNamespace(validation_fraction=0.2, test_fraction=0.1, sequence_length=8)
    wanted = SimpleNamespace(statistics_sequences=20, threshold_sequences=10, test_tokens=90)
    search = SimpleNamespace(tokens=80)
    return SimpleNamespace(
        **{"corpus": "wikitext_2", "train": train, "eval": wanted, "search": search} | changes
    )


def test_wikitext_keeps_its_own_splits(raw):
    splits = split_documents(read_documents("wikitext_2", raw), validation_fraction=0.5, test_fraction=0.4)
    assert {name: len(part) for name, part in splits.items()} == SIZES
    for name, part in splits.items():
        assert all(f"of {name} =" in document.text for document in part)


def test_text_of_wikitext_serves_one_purpose_each(raw):
    """Statistics on train, thresholds and search on different articles of validation, report on test."""
    splits = split_documents(read_documents("wikitext_2", raw), 0.2, 0.1)
    tokenizer = train_tokenizer(splits["train"], vocab_size=300)
    text = evaluation_text(settings(), raw, tokenizer)
    decoded = {
        name: tokenizer.decode(getattr(part, "ids", part).flatten().tolist())
        for name, part in vars(text).items()
    }
    owner = {"statistics": "train", "thresholds": "validation", "search": "validation", "test": "test"}
    for purpose, split in owner.items():
        assert f"{split} text" in decoded[purpose]
        for other in set(SIZES) - {split}:
            assert f"{other} text" not in decoded[purpose]
    articles = [set(decoded[name].split("\n")) for name in ("thresholds", "search")]
    assert not {line for line in articles[0] & articles[1] if "text number" in line and line.endswith(". ")}
    assert text.statistics.shape == (20, 8)
    assert len(text.test.ids) == 90


def test_a_stream_knows_the_group_of_each_token(raw):
    documents = read_documents("wikitext_2", raw)
    tokenizer = train_tokenizer(documents, vocab_size=300)
    found = stream(documents[:3], tokenizer, limit=10_000)
    for number, document in enumerate(documents[:3]):
        text = tokenizer.decode(found.ids[found.groups == number].tolist())
        assert text == document.text
    assert stream(documents, tokenizer, limit=17).ids.tolist() == found.ids[:17].tolist()
    assert pack(documents, tokenizer, 5, 3).flatten().tolist() == found.ids[:15].tolist()


def test_parts_are_proportional_and_leave_nothing_out():
    parts = divide(list(range(10)), [400, 100, 500])
    assert parts == [[0, 1, 2, 3], [4], [5, 6, 7, 8, 9]]


def test_a_corpus_that_cannot_be_used_is_named(tmp_path):
    with pytest.raises(CorpusError, match=r"wikitext_2.parquet is missing: name wikitext_2 in data.sources"):
        read_documents("wikitext_2", tmp_path)
    with pytest.raises(CorpusError, match="unknown corpus 'novels'; known: docstrings, wikitext_2"):
        read_documents("novels", tmp_path)
    write_wikitext(tmp_path, {"train": 3, "dev": 2})
    with pytest.raises(CorpusError, match="split 'dev' is none of train, validation, test"):
        read_documents("wikitext_2", tmp_path)
    write_wikitext(tmp_path, {"train": 3, "validation": 2})
    with pytest.raises(CorpusError, match="split 'test' is empty"):
        split_documents(read_documents("wikitext_2", tmp_path), 0.2, 0.1)
    pq.write_table(pa.table({"text": ["a"]}), tmp_path / "wikitext_2.parquet")
    with pytest.raises(CorpusError, match="has no column 'split'"):
        read_documents("wikitext_2", tmp_path)
