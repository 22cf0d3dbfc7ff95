"""What `var_eval` writes: the numbers are those of the arms, the text is counted once."""

import math
from types import SimpleNamespace

import pyarrow.parquet as pq
import pytest
import torch

from var_model import VOCAB, tiny_model
from var_model import token_ids as sequences
from var_moe.evaluation.arms import STOCK_EAGER, running
from var_moe.evaluation.perplexity import token_nll
from var_moe.evaluation.quality import build_wrappers, evaluate_presets
from var_moe.evaluation.report import quality_report, write_scores
from var_moe.reference.corpus import Stream
from var_moe.routing.config import PRESETS, get_config
from var_moe.routing.statistics import collect_statistics

SETTINGS = SimpleNamespace(window=12, stride=8, batch_size=4)


@pytest.fixture(scope="module")
def measured():
    model = tiny_model()
    statistics = collect_statistics(model, sequences(40, seed=1), 16)
    wrappers = build_wrappers(model, statistics, sequences(10, seed=2), map(get_config, PRESETS))
    ids = sequences(12, seed=3).flatten()
    text = Stream(ids, torch.arange(len(ids)) // 30)
    return wrappers, text, *evaluate_presets(wrappers, text, SETTINGS)


@pytest.fixture(scope="module")
def report(measured):
    return quality_report(*measured[2:], "balanced", [0.1, 0.3])


def test_losses_by_group_add_up_to_the_text(measured):
    wrappers, text, baseline, _ = measured
    wrapper = wrappers["balanced"]
    with running(wrapper, STOCK_EAGER):
        nll = token_nll(wrapper.model, text.ids, **vars(SETTINGS), label="")
    assert baseline.groups.tolist() == [0, 1, 2, 3, 4]
    assert baseline.tokens.tolist() == [29, 30, 30, 30, 24]  # the first token has nothing before it
    assert baseline.nll.sum() == pytest.approx(nll.sum())
    assert baseline.nll[1] == pytest.approx(nll[29:59].sum())


def test_the_report_holds_every_preset_and_the_headline_on_top(report):
    assert set(report["presets"]) == set(PRESETS)
    for name, value in report["presets"]["balanced"].items():
        assert report[name] == value
    for found in report["presets"].values():
        before, after = report["perplexity_baseline"], found["perplexity_var"]
        assert found["perplexity_change"] == pytest.approx(after / before - 1)
        low, high = found["perplexity_change_ci95"]
        assert low <= found["perplexity_change"] <= high
        assert found["skip_perplexity_change"] == pytest.approx(found["perplexity_skip"] / before - 1)
        assert 1 <= found["skip_experts_per_call"] <= 2
        shares = found["learned_share"] + found["fast_share"] + found["cached_share"]
        assert shares == pytest.approx(1)


def test_presets_grow_bolder(report):
    used = [report["presets"][name]["experts_per_call"] for name in PRESETS]
    assert used[0] > used[1] >= used[2]
    assert len({report["presets"][name]["table_sha256"] for name in PRESETS}) == 3


def test_scores_reproduce_the_report(measured, report, tmp_path):
    write_scores(tmp_path / "scores.parquet", *measured[2:])
    table = pq.read_table(tmp_path / "scores.parquet")
    tokens = sum(table["tokens"].to_pylist())
    assert tokens == report["tokens"] == len(measured[1].ids) - 1
    for name in PRESETS:
        total = math.exp(sum(table[f"nll_var_{name}"].to_pylist()) / tokens)
        assert total == pytest.approx(report["presets"][name]["perplexity_var"])


def test_measuring_again_gives_the_same_numbers(measured, report):
    wrappers, text = measured[:2]
    assert quality_report(*evaluate_presets(wrappers, text, SETTINGS), "balanced", [0.1, 0.3]) == report


def test_a_text_shorter_than_a_window_is_read_whole(measured):
    wrappers = measured[0]
    short = Stream(torch.arange(5) % VOCAB, torch.zeros(5, dtype=torch.int64))
    baseline, _ = evaluate_presets({"balanced": wrappers["balanced"]}, short, SETTINGS)
    assert baseline.tokens.tolist() == [4]
