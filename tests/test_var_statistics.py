"""Routing statistics: what is counted, in what memory, and the file they are kept in."""

from collections import Counter
from dataclasses import fields
from itertools import pairwise

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from var_model import EXPERTS, LAYERS, LENGTH, VOCAB, tiny_model, token_ids
from var_moe.routing.config import VARConfig
from var_moe.routing.statistics import collect_statistics
from var_moe.routing.statistics_file import check_tokenizer, load_statistics, save_statistics
from var_moe.routing.table import build_table


@pytest.fixture(scope="module")
def model():
    return tiny_model()


@pytest.fixture(scope="module")
def statistics(model):
    return collect_statistics(model, token_ids(40, seed=1), 16, tokenizer_sha256="ab" * 32)


def assert_same(first, second):
    for field in fields(first):
        left, right = getattr(first, field.name), getattr(second, field.name)
        assert torch.equal(left, right) if isinstance(left, torch.Tensor) else left == right, field.name


def test_a_file_gives_the_statistics_back_exactly(statistics, tmp_path):
    save_statistics(statistics, tmp_path / "routing_stats.parquet")
    assert_same(load_statistics(tmp_path / "routing_stats.parquet"), statistics)


def test_the_file_says_what_each_row_would_decide(statistics, tmp_path):
    """Against sums over the raw statistics, and as anyone reads it who has only pyarrow."""
    save_statistics(statistics, tmp_path / "stats.parquet")
    records = pq.read_table(tmp_path / "stats.parquet").to_pylist()
    assert len(records) == int((statistics.frequency > 0).sum()) * LAYERS
    layer_mean = statistics.weight_sum[:VOCAB].sum(0) / (40 * LENGTH)
    seen = Counter(token_ids(40, seed=1).flatten().tolist())
    for record in records:
        if record["previous"] is None:
            token, layer = record["token"], record["layer"]
            assert record["frequency"] == seen[token]
            mean = (statistics.weight_sum[token, layer] + 2 * layer_mean[layer]) / (seen[token] + 2)
            assert record["experts"] == mean.topk(2).indices.tolist()
            assert record["weights"] == pytest.approx(mean.topk(2).values.tolist())
        assert 0 < record["confidence"] <= 1
        assert record["entropy"] <= torch.tensor(float(EXPERTS)).log() + 1e-9


def test_padding_is_not_counted_and_changes_nothing(model):
    """Left padding, right padding and none give the same statistics."""
    ids = token_ids(6, seed=3)
    plain = collect_statistics(model, ids, batch_size=4)
    padding = torch.zeros(6, 3, dtype=torch.int64)
    real = torch.ones_like(ids, dtype=torch.bool)
    for order in (1, -1):
        padded = torch.cat([padding, ids][::order], dim=1)
        mask = torch.cat([padding.bool(), real][::order], dim=1)
        found = collect_statistics(model, padded, batch_size=4, mask=mask)
        assert torch.equal(found.frequency, plain.frequency)
        assert torch.equal(found.context_keys, plain.context_keys)
        torch.testing.assert_close(found.probability_sum, plain.probability_sum, rtol=1e-4, atol=1e-4)
        assert found.first_choice.sum() == plain.first_choice.sum()


def test_memory_is_bounded_by_the_vocabulary(model):
    """Only the most frequent contexts have rows; tokens are counted as before."""
    ids = token_ids(200, seed=4)
    everything = collect_statistics(model, ids, batch_size=50)
    bounded = collect_statistics(model, ids, batch_size=50, contexts_per_token=2)
    pairs = Counter((a, b) for row in ids.tolist() for a, b in pairwise(row))
    assert len(everything.context_keys) == len(pairs) > 2 * VOCAB
    common = sorted(pairs, key=lambda pair: (-pairs[pair], pair))[: 2 * VOCAB]
    assert bounded.context_keys.tolist() == sorted(a * VOCAB + b for a, b in common)
    assert torch.equal(bounded.frequency[:VOCAB], everything.frequency[:VOCAB])
    kept = [everything.context_keys.tolist().index(key) for key in bounded.context_keys.tolist()]
    assert torch.equal(bounded.weight_sum[VOCAB:], everything.weight_sum[VOCAB:][kept])


def test_an_interrupted_pass_leaves_nothing_and_can_be_run_again(model, statistics, tmp_path, monkeypatch):
    path, forward, calls = tmp_path / "routing_stats.parquet", model.model.forward, []

    def interrupted(*args, **kwargs):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return forward(*args, **kwargs)

    monkeypatch.setattr(model.model, "forward", interrupted)
    with pytest.raises(KeyboardInterrupt):
        save_statistics(collect_statistics(model, token_ids(40, seed=1), 16), path)
    assert list(tmp_path.iterdir()) == []
    again = collect_statistics(model, token_ids(40, seed=1), 16, tokenizer_sha256="ab" * 32)
    assert_same(again, statistics)


def test_an_interrupted_write_keeps_the_file_that_was_there(statistics, tmp_path, monkeypatch):
    path = tmp_path / "routing_stats.parquet"
    save_statistics(statistics, path)
    before = path.read_bytes()

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(pq.ParquetWriter, "write_table", interrupted)
    with pytest.raises(KeyboardInterrupt):
        save_statistics(statistics, path)
    assert [file.name for file in tmp_path.iterdir()] == [path.name]
    assert path.read_bytes() == before


def test_statistics_of_another_tokenizer_are_refused(statistics):
    check_tokenizer(statistics, "ab" * 32)
    with pytest.raises(ValueError, match="of tokenizer abababababab, this one is cdcdcdcdcdcd"):
        check_tokenizer(statistics, "cd" * 32)


def test_a_file_that_lacks_a_layer_is_refused(statistics, tmp_path):
    path = tmp_path / "routing_stats.parquet"
    save_statistics(statistics, path)
    table = pq.read_table(path)
    pq.write_table(table.filter(pa.compute.field("layer") != 1), path)
    with pytest.raises(ValueError, match="lack one of the 3 layers"):
        load_statistics(path)


def test_other_files_are_refused_in_one_line(statistics, tmp_path):
    path = tmp_path / "routing_stats.parquet"
    with pytest.raises(ValueError, match="is missing"):
        load_statistics(path)
    path.write_bytes(b"no parquet")
    with pytest.raises(ValueError, match="not a readable parquet file"):
        load_statistics(path)
    pq.write_table(pa.table({"layer": [1]}), path)
    with pytest.raises(ValueError, match="holds no routing statistics"):
        load_statistics(path)
    save_statistics(statistics, path)
    content = bytearray(path.read_bytes())
    content[len(content) // 3] ^= 1  # in the middle of a page
    path.write_bytes(content)
    with pytest.raises(ValueError, match="not a readable parquet file"):
        load_statistics(path)


def test_text_the_model_cannot_take_is_an_error(model):
    with pytest.raises(ValueError, match="no sequences"):
        collect_statistics(model, token_ids(2), 2, mask=torch.zeros(2, LENGTH, dtype=torch.bool))
    with pytest.raises(ValueError, match="another tokenizer"):
        collect_statistics(model, token_ids(2) + VOCAB, 2)
    with pytest.raises(ValueError, match="65 tokens exceed the model's 64 positions"):
        collect_statistics(model, torch.zeros(2, 65, dtype=torch.int64), 2)


def test_a_table_from_a_file_is_the_table_from_memory(statistics, tmp_path):
    save_statistics(statistics, tmp_path / "stats.parquet")
    loaded = load_statistics(tmp_path / "stats.parquet")
    held_out = token_ids(10, seed=2)
    tables = [build_table(source, VARConfig(), held_out) for source in (statistics, loaded)]
    assert tables[0].sha256() == tables[1].sha256()
