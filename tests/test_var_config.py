"""VAR's settings: strict, written and read as JSON, thresholds by share or by value."""

import json

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from var_model import EXPERTS, LAYERS, tiny_model, token_ids
from var_moe.routing.config import VARConfig, get_balanced_config, get_config
from var_moe.routing.statistics import collect_statistics
from var_moe.routing.statistics_file import save_statistics
from var_moe.routing.table import LEARNED, build_table
from var_moe.routing.thresholds import weighted_quantile

shares = st.floats(0, 1)


@pytest.fixture(scope="module")
def statistics():
    return collect_statistics(tiny_model(), token_ids(40, seed=1), batch_size=16)


@given(
    st.builds(
        VARConfig,
        learned_share=shares,
        confidence_threshold=st.none() | shares,
        entropy_threshold=st.none() | st.floats(0, 5),
        frequency_threshold=st.none() | st.integers(1, 9),
        layer_skip_ratios=st.none() | st.lists(shares, max_size=4).map(tuple),
        cache_size=st.integers(0, 9),
        enable_var=st.booleans(),
    )
)
def test_a_configuration_survives_json(config):
    assert VARConfig.from_json(config.to_json()) == config
    assert VARConfig.from_json(config.decisions_json()) == config.decisions()


@pytest.mark.parametrize(
    "wrong",
    [
        {"confidence_threshold": 1.2},
        {"confidence_threshold": float("nan")},
        {"entropy_threshold": -0.1},
        {"entropy_threshold": float("inf")},
        {"frequency_threshold": 0},
        {"layer_skip_ratios": (0.2, 1.5)},
        {"cache_size": -1},
        {"cache_ttl_tokens": 0},
        {"context_window_size": 3},
        {"max_quality_degradation": -0.01},
        {"enable_var": "yes"},
        {"learned_share": "0.1"},
    ],
)
def test_a_setting_out_of_range_or_of_another_type_is_named(wrong):
    (name,) = wrong
    with pytest.raises(ValueError, match=name):
        VARConfig(**wrong)


def test_bad_json_is_one_line_that_names_the_key():
    with pytest.raises(ValueError, match="VAR configuration, learned_share: Input should be less"):
        VARConfig.from_json('{"learned_share": 3}')
    with pytest.raises(ValueError, match="VAR configuration, lerned_share"):
        VARConfig.from_json('{"lerned_share": 0.1}')
    with pytest.raises(ValueError, match="Invalid JSON"):
        VARConfig.from_json("{")


def test_how_a_wrapper_runs_is_no_part_of_the_decisions():
    running = VARConfig(enable_var=False, track_performance=False, cache_size=7, cache_ttl_tokens=9)
    assert running.decisions_json() == VARConfig().decisions_json()
    assert json.loads(VARConfig(confidence_threshold=0.5).decisions_json())["confidence_threshold"] == 0.5


def test_quantile_has_no_limit_of_sixteen_million_values():
    values = torch.arange(16_000_001 + 2**20, dtype=torch.float32)
    with pytest.raises(RuntimeError, match="too large"):
        torch.quantile(values, 0.5)
    assert (
        weighted_quantile(values, torch.ones_like(values, dtype=torch.int64), 0.5) == values[len(values) // 2]
    )


@given(st.lists(st.tuples(st.floats(0, 1), st.integers(0, 5)), min_size=1, max_size=20), shares)
def test_weighted_quantile_is_torchs_of_the_values_written_out_to_the_bit(pairs, share):
    values = torch.tensor([value for value, _ in pairs], dtype=torch.float64)
    weights = torch.tensor([weight for _, weight in pairs])
    if weights.sum() == 0:
        return
    assert weighted_quantile(values, weights, share) == torch.quantile(
        values.repeat_interleave(weights), share
    )


@settings(max_examples=15, deadline=None)
@given(confidence=shares, entropy=st.floats(0, 1.4), frequency=st.integers(1, 30))
def test_given_thresholds_hold_for_every_row(statistics, confidence, entropy, frequency):
    """A row decides exactly where it is seen often enough, sure enough and of low enough entropy."""
    config = VARConfig(
        confidence_threshold=confidence,
        entropy_threshold=entropy,
        frequency_threshold=frequency,
        layer_skip_ratios=(0.0, 0.5, 1.0),
    )
    table = build_table(statistics, config)  # no held-out text is needed
    keys = statistics.context_keys.tolist()
    rows = list(range(40)) + [40 + keys.index(key) for key in table.context_keys.tolist()]
    probability, weight = statistics.smoothed(config.smoothing)
    for position, row in enumerate(rows):
        if row >= 40:
            assert statistics.frequency[row] >= frequency
        for layer in range(LAYERS):
            histogram = statistics.first_choice[row, layer].double()
            share = histogram[histogram > 0] / histogram.sum()
            sure = (
                statistics.frequency[row] >= frequency
                and probability[row, layer, weight[row, layer].argmax()] > confidence
                and -(share * share.log()).sum() <= entropy + 1e-9
            )
            near = abs(-(share * share.log()).sum() - entropy) < 1e-6
            assert near or bool(table.bypass[layer, position]) == sure
    kept = sum(int(count) >= frequency for count in statistics.frequency[40:])
    assert len(table.context_keys) == kept


def test_skip_ratios_are_per_layer(statistics):
    table = build_table(statistics, VARConfig(confidence_threshold=0.0, layer_skip_ratios=(0.0, 0.4, 1.0)))
    single = (table.experts[..., 1] == EXPERTS) & table.bypass
    two = statistics.smoothed(2.0)[1].topk(2, dim=-1).values[:40]
    expected = two[:, 1, 1] / two[:, 1, 0] <= 0.4
    seen = statistics.frequency[:40] > 0
    assert not single[0].any()
    assert torch.equal(single[1, :40][seen], expected[seen])
    assert single[2][table.bypass[2]].all()


def test_a_ratio_for_each_layer_or_an_error(statistics):
    with pytest.raises(ValueError, match="2 ratios for the model's 3 layers"):
        build_table(statistics, VARConfig(layer_skip_ratios=(0.1, 0.1)), token_ids(4))
    with pytest.raises(ValueError, match="beyond the model's 3"):
        build_table(statistics, VARConfig(two_expert_layers=(3,)), token_ids(4))


def test_a_context_window_of_one_token_looks_up_tokens_alone(statistics):
    held_out = token_ids(10, seed=2)
    alone = build_table(statistics, VARConfig(context_window_size=1), held_out)
    assert len(alone.context_keys) == 0
    assert torch.equal(alone.weights, build_table(statistics, VARConfig(use_context=False), held_out).weights)


def test_thresholds_from_a_statistics_file_meet_the_shares_on_its_text(statistics, tmp_path):
    path, ids = tmp_path / "routing_stats.parquet", token_ids(40, seed=1)
    save_statistics(statistics, path)
    config = VARConfig.from_routing_stats(path, "aggressive", learned_share=0.25)
    assert (config.preset, config.single_share, config.routing_stats_path) == ("aggressive", 1.0, str(path))
    plan = build_table(statistics, config).plan(ids)
    assert (plan.routes == LEARNED).float().mean() == pytest.approx(0.25, abs=0.03)

    config = VARConfig.from_routing_stats(path, learned_share=0.0, single_share=0.5)
    plan = build_table(statistics, config).plan(ids)
    assert (plan.experts[0] < EXPERTS).all()
    assert (plan.experts[1:, :, 1] == EXPERTS).float().mean() == pytest.approx(0.5, abs=0.03)

    given = VARConfig.from_routing_stats(path, confidence_threshold=0.5)
    assert given.confidence_threshold == 0.5
    assert given.learned_share == get_balanced_config().learned_share


@pytest.mark.parametrize("preset", ["conservative", "balanced", "aggressive"])
def test_presets_set_no_threshold_by_hand(preset):
    config = get_config(preset)
    assert config.preset == preset
    assert config.confidence_threshold is config.layer_skip_ratios is config.entropy_threshold is None


def test_held_out_text_of_another_vocabulary_is_refused(statistics):
    with pytest.raises(ValueError, match="another tokenizer"):
        build_table(statistics, VARConfig(), token_ids(4) + 40)
