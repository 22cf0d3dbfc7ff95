"""Other mixtures of experts of transformers, and models loaded from disk by path."""

import copy

import pytest
import torch
from transformers import (
    AutoModelForCausalLM,
    MixtralConfig,
    MixtralForCausalLM,
    OlmoeConfig,
    OlmoeForCausalLM,
    Qwen2MoeConfig,
    Qwen2MoeForCausalLM,
    Qwen3MoeConfig,
    Qwen3MoeForCausalLM,
)

from var_model import LENGTH, VOCAB, tiny_model, token_ids
from var_moe.mixture.blocks import moe_blocks, routing_of
from var_moe.mixture.loading import load_causal_lm
from var_moe.routing.config import VARConfig
from var_moe.routing.statistics import collect_statistics
from var_moe.routing.table import LEARNED, build_table
from var_moe.routing.verification import verify
from var_moe.routing.wrapper import VARMixtralWrapper

COMMON = {
    "vocab_size": VOCAB,
    "hidden_size": 16,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
    "initializer_range": 0.3,
    "pad_token_id": 0,
    "bos_token_id": None,
    "eos_token_id": None,
}
QWEN = {"num_experts": 6, "num_experts_per_tok": 3, "moe_intermediate_size": 12, "intermediate_size": 20}


def make(family):
    """Models of a few thousand weights; top 3 of 6, weights that do not sum to 1 where that is usual."""
    torch.manual_seed(0)
    if family == "olmoe":
        config = OlmoeConfig(num_experts=6, num_experts_per_tok=3, intermediate_size=12, **COMMON)
        return OlmoeForCausalLM(config).eval()
    if family == "qwen2_moe":  # a shared expert, and a dense layer in between
        config = Qwen2MoeConfig(
            shared_expert_intermediate_size=12, mlp_only_layers=[1], norm_topk_prob=False, **QWEN, **COMMON
        )
        return Qwen2MoeForCausalLM(config).eval()
    config = Qwen3MoeConfig(norm_topk_prob=family == "qwen3_moe_normalized", head_dim=8, **QWEN, **COMMON)
    return Qwen3MoeForCausalLM(config).eval()


FAMILIES = ["olmoe", "qwen2_moe", "qwen3_moe", "qwen3_moe_normalized"]


@pytest.fixture(params=FAMILIES)
def model(request):
    model = make(request.param)
    for block in moe_blocks(model):  # zero by default: every expert would look alike
        torch.nn.init.normal_(block.gate.weight, std=1.0)
    return model


def table_of(model, **settings):
    config = VARConfig(**{"learned_share": 0.3, "single_share": 0.6} | settings)
    statistics = collect_statistics(model, token_ids(40, seed=1), batch_size=16)
    return build_table(statistics, config, token_ids(10, seed=2))


@torch.inference_mode()
def logits_of(model, ids, **kwargs):
    return model(input_ids=ids, **kwargs).logits


def test_disabled_is_the_unwrapped_model_to_the_bit(model):
    ids = token_ids(4, seed=5)
    expected = logits_of(copy.deepcopy(model), ids)
    wrapper = VARMixtralWrapper(model, table_of(model))
    assert not torch.equal(logits_of(wrapper, ids), expected)
    wrapper.disable_var()
    assert torch.equal(logits_of(wrapper, ids), expected)


def test_a_table_that_learns_everything_is_the_stock_model(model):
    """The stock rule with its own normalisation, whatever the family."""
    ids = token_ids(4, seed=5)
    expected = logits_of(model, ids)
    table = table_of(model, learned_share=1.0, single_share=0.0)
    wrapper = VARMixtralWrapper(model, table)
    torch.testing.assert_close(logits_of(wrapper, ids), expected, rtol=1e-4, atol=1e-4)
    assert wrapper.get_performance_stats()["experts_per_call"] == 3


def test_weights_of_a_row_sum_to_what_the_router_gives_out(model):
    statistics = collect_statistics(model, token_ids(40, seed=1), batch_size=16)
    captured = []
    for block in moe_blocks(model):
        block.gate.register_forward_hook(lambda _, __, out: captured.append(out[1].sum(-1)))
    logits_of(model, token_ids(40, seed=1))
    table = build_table(statistics, VARConfig(learned_share=0.0, single_share=0.5), token_ids(10, seed=2))
    sums = table.weights.sum(-1)[table.bypass]
    if routing_of(model).normalized:
        torch.testing.assert_close(sums, torch.ones_like(sums))
    else:
        ids = token_ids(40, seed=1).flatten()
        layer_mean = statistics.weight_sum[:VOCAB].sum((0, 2)) / len(ids)
        observed = torch.stack([layer.mean() for layer in captured]).double()
        torch.testing.assert_close(layer_mean, observed, rtol=1e-4, atol=1e-4)
        token = int(ids.mode().values)
        for layer, out in enumerate(captured):
            here = ids == token
            expected = (out[here].double().sum() + 2 * layer_mean[layer]) / (here.sum() + 2)
            assert table.weights[layer, token].sum() == pytest.approx(expected.item(), rel=1e-4)


def test_skip_ratios_leave_out_every_expert_that_hardly_counts(model):
    """Top 3: one, two or three experts a call; layer by layer."""
    statistics = collect_statistics(model, token_ids(40, seed=1), batch_size=16)
    layers = routing_of(model).layers
    ratios = (0.0, *[0.5] * (layers - 1))
    table = build_table(statistics, VARConfig(confidence_threshold=0.0, layer_skip_ratios=ratios))
    used = (table.experts < 6).sum(-1)
    assert (used[0][table.bypass[0]] == 3).all()
    assert set(used[1:][table.bypass[1:]].tolist()) == {1, 2, 3}
    wrapper = VARMixtralWrapper(model, table)
    logits_of(wrapper, token_ids(4, seed=6))
    stats = wrapper.get_performance_stats()
    assert stats["layers"][0]["experts_per_call"] == 3
    assert stats["layers"][-1]["experts_per_call"] < 3


def test_log_padding_and_decoding_work_as_in_mixtral(model, tmp_path):
    table = table_of(model)
    with VARMixtralWrapper(model, table, log_path=tmp_path / "routing.log", audit_rate=0.5) as wrapper:
        ids = token_ids(1, seed=7)
        alone = logits_of(wrapper, ids)
        padded = torch.cat([torch.zeros(1, 3, dtype=torch.int64), ids], dim=1)
        mask = (torch.arange(LENGTH + 3) >= 3).long()[None]
        positions = (mask.cumsum(1) - 1).clamp_min(0)
        output = logits_of(wrapper, padded, attention_mask=mask, position_ids=positions)
        torch.testing.assert_close(output[:, 3:], alone, rtol=1e-4, atol=1e-4)
        settings = {"max_new_tokens": 6, "do_sample": False, "attention_mask": torch.ones(1, 5).long()}
        cached = wrapper.generate(ids[:, :5], use_cache=True, **settings)
        assert torch.equal(cached, wrapper.generate(ids[:, :5], use_cache=False, **settings))
    assert verify(tmp_path / "routing.log", table).replayed_calls > 0


def test_router_logits_are_recorded_for_every_layer_with_experts(model):
    ids = token_ids(2, seed=11)
    with torch.inference_mode():
        expected = copy.deepcopy(model)(input_ids=ids, output_router_logits=True).router_logits
        wrapper = VARMixtralWrapper(model, table_of(model))
        recorded = wrapper(input_ids=ids, output_router_logits=True).router_logits
    assert [logits.shape for logits in recorded] == [logits.shape for logits in expected]
    torch.testing.assert_close(recorded[0], expected[0])


def test_a_model_loaded_by_path_is_the_model_saved(tmp_path):
    model = tiny_model()
    model.save_pretrained(tmp_path)
    loaded = load_causal_lm(str(tmp_path))
    assert isinstance(loaded, MixtralForCausalLM)
    assert not loaded.training
    ids = token_ids(2)
    assert torch.equal(logits_of(loaded, ids), logits_of(model, ids))
    table = table_of(model)
    wrapper = VARMixtralWrapper(loaded, table)
    assert (table.plan(ids).routes != LEARNED).any()
    assert logits_of(wrapper, ids).isfinite().all()


@pytest.mark.parametrize("device_map", ["auto", {"": "cpu"}])
def test_a_sharded_model_loaded_onto_devices_routes_as_before(tmp_path, device_map):
    model = tiny_model()
    model.save_pretrained(tmp_path, max_shard_size="10KB")
    assert len(list(tmp_path.glob("model-*.safetensors"))) > 1
    sharded = load_causal_lm(str(tmp_path), device_map=device_map)
    table, ids = table_of(model), token_ids(2)
    expected = logits_of(VARMixtralWrapper(model, table), ids)
    assert torch.equal(logits_of(VARMixtralWrapper(sharded, table), ids), expected)


def test_a_device_map_without_accelerate_says_what_to_install(tmp_path, monkeypatch):
    tiny_model().save_pretrained(tmp_path)

    def missing(*_, **__):
        raise ImportError("Using `device_map` requires `accelerate`.")

    monkeypatch.setattr(AutoModelForCausalLM, "from_pretrained", missing)
    with pytest.raises(ValueError, match="pip install accelerate"):
        load_causal_lm(str(tmp_path), device_map="auto")


def test_models_that_cannot_be_used_are_refused_in_one_line(tmp_path):
    with pytest.raises(ValueError, match="cannot load a causal language model"):
        load_causal_lm(str(tmp_path / "nowhere"))
    model = tiny_model()
    model.model.layers[1].mlp.gate.__class__ = type(
        "SigmoidRouter", (type(model.model.layers[1].mlp.gate),), {}
    )
    with pytest.raises(ValueError, match="SigmoidRouter is not supported; routers that are: Mixtral"):
        moe_blocks(model)
    with pytest.raises(ValueError, match="Linear has no mixture-of-experts layer"):
        moe_blocks(torch.nn.Linear(2, 2))


def test_experts_with_another_activation_are_refused():
    config = MixtralConfig(
        num_local_experts=4, hidden_act="gelu", intermediate_size=24, head_dim=8,
        **COMMON | {"num_hidden_layers": 1},
    )  # fmt: skip
    model = MixtralForCausalLM(config).eval()
    with pytest.raises(ValueError, match="'gelu' activation"):
        VARMixtralWrapper(model, table_of(model))
