"""Statistics, the frozen table made of them, and the decisions that follow from it alone."""

from collections import Counter
from dataclasses import replace

import pytest
import torch

from var_model import EXPERTS, LAYERS, VOCAB, tiny_model, tiny_table, token_ids
from var_moe.routing.config import (
    VARConfig,
    get_aggressive_config,
    get_balanced_config,
    get_conservative_config,
)
from var_moe.routing.statistics import collect_statistics
from var_moe.routing.table import CACHED, FAST, LEARNED, PADDING, RoutingTable, build_table


@pytest.fixture(scope="module")
def model():
    return tiny_model()


@pytest.fixture(scope="module")
def statistics(model):
    return collect_statistics(model, token_ids(40, seed=1), batch_size=16)


@pytest.fixture(scope="module")
def table(model):
    return tiny_table(model)


@pytest.mark.parametrize("make", [get_conservative_config, get_balanced_config, get_aggressive_config])
def test_presets_survive_json(make):
    assert VARConfig.from_json(make().to_json()) == make()


def test_an_unknown_setting_is_an_error():
    with pytest.raises(ValueError, match="lerned_share"):
        VARConfig(lerned_share=0.1)


def test_statistics_equal_an_independent_count(model, statistics):
    """Sequence by sequence, with the stock router's own output and Python counters."""
    calls, first, weight, probability = Counter(), Counter(), Counter(), Counter()
    captured = {}
    hooks = [
        layer.mlp.gate.register_forward_hook(lambda _, __, out, layer=index: captured.__setitem__(layer, out))
        for index, layer in enumerate(model.model.layers)
    ]
    for sequence in token_ids(40, seed=1):
        with torch.inference_mode():
            model(input_ids=sequence[None])
        ids = sequence.tolist()
        for position, token in enumerate(ids):
            rows = [(token,)] if position == 0 else [(token,), (ids[position - 1], token)]
            for row in rows:
                calls[row] += 1
                for layer in range(LAYERS):
                    logits, weights, experts = captured[layer]
                    first[row, layer, int(experts[position, 0])] += 1
                    for expert, value in zip(
                        experts[position].tolist(), weights[position].tolist(), strict=True
                    ):
                        weight[row, layer, expert] += value
                    for expert, value in enumerate(logits[position].softmax(-1).tolist()):
                        probability[row, layer, expert] += value
    for hook in hooks:
        hook.remove()

    keys = statistics.context_keys.tolist()
    assert len(keys) == len([row for row in calls if len(row) == 2])
    for row, count in calls.items():
        index = row[0] if len(row) == 1 else VOCAB + keys.index(row[0] * VOCAB + row[1])
        assert statistics.frequency[index] == count
        for layer in range(LAYERS):
            for expert in range(EXPERTS):
                cell = (index, layer, expert)
                assert statistics.first_choice[cell] == first[row, layer, expert]
                assert statistics.weight_sum[cell] == pytest.approx(weight[row, layer, expert], abs=1e-4)
                assert statistics.probability_sum[cell] == pytest.approx(
                    probability[row, layer, expert], abs=1e-4
                )


def test_entropy_is_that_of_the_histogram_in_nats(statistics):
    histogram = torch.tensor([3, 1, 0, 0])
    filled = replace(statistics, first_choice=histogram.expand_as(statistics.first_choice))
    expected = -(0.75 * torch.log(torch.tensor(0.75)) + 0.25 * torch.log(torch.tensor(0.25)))
    torch.testing.assert_close(filled.entropy(), expected.expand_as(filled.entropy()))


def test_an_unseen_token_is_left_to_the_router(model):
    table = tiny_table(model, learned_share=0.0)
    seen = set(token_ids(40, seed=1).flatten().tolist())
    unseen = [token for token in range(VOCAB) if token not in seen]
    assert not table.bypass[:, unseen].any()
    assert table.bypass[:, sorted(seen)].all()


def test_plan_equals_a_plain_reference(table):
    ids = token_ids(6, seed=3)
    mask = torch.ones_like(ids, dtype=torch.bool)
    mask[0, :5] = False
    plan = table.plan(ids, mask)
    rows = {key: VOCAB + index for index, key in enumerate(table.context_keys.tolist())}
    for b, sequence in enumerate(ids.tolist()):
        for s, token in enumerate(sequence):
            call = b * ids.shape[1] + s
            row, route = token, FAST
            if s > 0 and mask[b, s - 1] and sequence[s - 1] * VOCAB + token in rows:
                row, route = rows[sequence[s - 1] * VOCAB + token], CACHED
            for layer in range(LAYERS):
                expected = route if table.bypass[layer, row] else LEARNED
                assert plan.routes[layer, call] == (expected if mask[b, s] else PADDING)
                if mask[b, s]:
                    assert plan.experts[layer, call].tolist() == table.experts[layer, row].tolist()
                else:
                    assert plan.experts[layer, call].tolist() == [EXPERTS, EXPERTS]


def test_every_route_occurs(table):
    routes = table.plan(token_ids(6, seed=3)).routes
    assert set(routes.flatten().tolist()) == {FAST, CACHED, LEARNED}


def test_without_context_no_row_is_a_context(model):
    table = tiny_table(model, use_context=False)
    assert not (table.plan(token_ids(6, seed=3)).routes == CACHED).any()


def test_bypassed_calls_have_weights_that_sum_to_one(table):
    plan = table.plan(token_ids(6, seed=3))
    total = plan.weights.sum(-1)
    torch.testing.assert_close(total, (plan.routes != LEARNED).float())
    assert (plan.weights[plan.experts == EXPERTS] == 0).all()


def test_protected_layers_keep_two_experts(table):
    bypassed = table.bypass[0]
    assert (table.experts[0][bypassed] < EXPERTS).all()
    assert (table.experts[1:, :, 1][table.bypass[1:]] == EXPERTS).any()


def test_shares_on_the_held_out_text_are_those_asked_for(model, statistics):
    held_out = token_ids(200, seed=2)
    table = build_table(statistics, VARConfig(learned_share=0.25, single_share=0.5), held_out)
    learned = (table.plan(held_out).routes == LEARNED).float().mean()
    assert 0.15 < learned <= 0.27


def test_a_saved_table_replays_the_same_decisions(table, tmp_path):
    table.save(tmp_path / "table.safetensors")
    loaded = RoutingTable.load(tmp_path / "table.safetensors")
    assert loaded.sha256() == table.sha256()
    ids = token_ids(5, seed=4)
    first, second = table.plan(ids), loaded.plan(ids)
    for name in ("routes", "experts", "weights"):
        assert torch.equal(getattr(first, name), getattr(second, name))


def test_the_hash_covers_decisions_and_settings(table):
    assert replace(table, weights=table.weights + 1).sha256() != table.sha256()
    assert replace(table, config=get_balanced_config()).sha256() != table.sha256()
    assert replace(table, model_sha256="0" * 64).sha256() != table.sha256()


def test_empty_text_is_an_error(model, statistics):
    empty = torch.empty(0, 12, dtype=torch.int64)
    with pytest.raises(ValueError, match="no sequences"):
        collect_statistics(model, empty, batch_size=4)
    with pytest.raises(ValueError, match="held-out"):
        build_table(statistics, get_balanced_config(), empty)
