"""VAR inside a model: what it changes, and what it must not."""

import pytest
import torch

from var_model import EXPERTS, LAYERS, tiny_model, tiny_table, token_ids
from var_moe.routing.config import get_balanced_config
from var_moe.routing.table import LEARNED
from var_moe.routing.wrapper import VARMixtralWrapper


@pytest.fixture
def model():
    return tiny_model()


@pytest.fixture
def wrapper(model):
    return VARMixtralWrapper(model, tiny_table(model))


@torch.inference_mode()
def logits_of(model, ids, **kwargs):
    return model(input_ids=ids, **kwargs).logits


def test_disabled_is_the_unwrapped_model_to_the_bit():
    ids = token_ids(4, seed=5)
    expected = logits_of(tiny_model(), ids)
    model = tiny_model()
    wrapper = VARMixtralWrapper(model, tiny_table(model))
    assert not torch.equal(logits_of(wrapper, ids), expected)
    wrapper.disable_var()
    assert torch.equal(logits_of(wrapper, ids), expected)
    wrapper.enable_var()
    wrapper.disable_var()
    assert torch.equal(logits_of(model, ids), expected)
    assert "prepare_inputs_for_generation" not in vars(model)


def test_a_table_that_learns_everything_is_the_stock_model():
    model = tiny_model()
    ids = token_ids(4, seed=5)
    expected = logits_of(model, ids)
    wrapper = VARMixtralWrapper(model, tiny_table(model, learned_share=1.0, single_share=0.0))
    output = logits_of(wrapper, ids)
    assert wrapper.get_performance_stats()["learned_share"] == 1
    torch.testing.assert_close(output, expected, rtol=1e-4, atol=1e-4)


def test_the_model_uses_the_planned_experts(wrapper):
    """What reaches the experts for fast and cached calls is what a replay of the table says."""
    ids = token_ids(4, seed=6)
    routed = {}
    hooks = [
        layer.mlp.gate.register_forward_hook(lambda _, __, out, index=index: routed.__setitem__(index, out))
        for index, layer in enumerate(wrapper.model.model.layers)
    ]
    logits_of(wrapper, ids)
    for hook in hooks:
        hook.remove()
    replayed = wrapper.table.plan(ids)
    for layer in range(LAYERS):
        _, weights, experts = routed[layer]
        decided = replayed.routes[layer] != LEARNED
        assert decided.any()
        assert torch.equal(experts[decided], replayed.experts[layer][decided])
        assert torch.equal(weights[decided], replayed.weights[layer][decided])
        assert (experts[~decided, 0] < EXPERTS).all()


def test_learned_calls_follow_the_stock_router(wrapper):
    ids = token_ids(4, seed=6)
    routed = {}
    gate = wrapper.model.model.layers[0].mlp.gate  # layer 0 keeps two experts
    inputs = gate.register_forward_pre_hook(lambda _, args: routed.__setitem__("hidden", args[0]))
    outputs = gate.register_forward_hook(lambda _, __, out: routed.__setitem__("out", out))
    logits_of(wrapper, ids)
    inputs.remove()
    outputs.remove()
    wrapper.disable_var()
    with torch.inference_mode():
        _, weights, experts = wrapper.model.model.layers[0].mlp.gate(routed["hidden"])
    learned = wrapper.table.plan(ids).routes[0] == LEARNED
    assert learned.any()
    assert torch.equal(routed["out"][2][learned], experts[learned])
    torch.testing.assert_close(routed["out"][1][learned], weights[learned])


@pytest.mark.parametrize("side", ["left", "right"])
def test_padding_does_not_change_real_tokens(wrapper, side):
    ids = token_ids(1, seed=7)
    alone = logits_of(wrapper, ids)
    padding = torch.zeros(1, 3, dtype=torch.int64)
    real = torch.ones_like(ids)
    parts = [(padding, padding), (ids, real)] if side == "left" else [(ids, real), (padding, padding)]
    padded, mask = (torch.cat(part, dim=1) for part in zip(*parts, strict=True))
    positions = (mask.cumsum(1) - 1).clamp_min(0)
    wrapper.reset_performance_stats()
    output = logits_of(wrapper, padded, attention_mask=mask, position_ids=positions)
    torch.testing.assert_close(output[mask.bool()], alone[0], rtol=1e-4, atol=1e-4)
    assert wrapper.get_performance_stats()["tokens"] == ids.numel()


def test_decoding_with_a_cache_equals_one_forward_pass(wrapper):
    """A token's context must reach across the steps of decoding."""
    ids = token_ids(2, seed=8)
    whole = logits_of(wrapper, ids)
    cache, steps = None, []
    with torch.inference_mode():
        for position in range(ids.shape[1]):
            output = wrapper(input_ids=ids[:, position : position + 1], past_key_values=cache, use_cache=True)
            cache = output.past_key_values
            steps.append(output.logits)
    torch.testing.assert_close(torch.cat(steps, dim=1), whole, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("beams", [1, 3])
def test_generate_agrees_with_recomputing_every_step(wrapper, beams):
    prompt = token_ids(2, seed=9)[:, :5]
    settings = {"max_new_tokens": 6, "do_sample": False, "num_beams": beams}
    settings["attention_mask"] = torch.ones_like(prompt)
    cached = wrapper.generate(prompt, use_cache=True, **settings)
    recomputed = wrapper.generate(prompt, use_cache=False, **settings)
    assert cached.shape == (2, 11)
    assert torch.equal(cached, recomputed)


def test_embeddings_without_token_ids_are_routed_by_the_stock_router(wrapper):
    ids = token_ids(2, seed=10)
    wrapper.reset_performance_stats()
    with torch.inference_mode():
        embeddings = wrapper.model.get_input_embeddings()(ids)
        wrapper(inputs_embeds=embeddings)
    assert wrapper.get_performance_stats()["learned_share"] == 1


def test_router_logits_are_recorded_for_every_token(model):
    ids = token_ids(2, seed=11)
    with torch.inference_mode():
        expected = model(input_ids=ids, output_router_logits=True).router_logits
        wrapper = VARMixtralWrapper(model, tiny_table(model))
        recorded = wrapper(input_ids=ids, output_router_logits=True).router_logits
    assert len(recorded) == LAYERS
    torch.testing.assert_close(recorded[0], expected[0])
    assert [logits.shape for logits in recorded] == [logits.shape for logits in expected]


def test_statistics_add_up(wrapper):
    ids = token_ids(4, seed=12)
    wrapper.reset_performance_stats()
    logits_of(wrapper, ids)
    stats = wrapper.get_performance_stats()
    assert stats["tokens"] == ids.numel()
    assert stats["fast_share"] + stats["cached_share"] + stats["learned_share"] == pytest.approx(1)
    assert stats["layers"][0]["experts_per_call"] == 2
    assert 1 <= stats["experts_per_call"] < 2
    planned = (wrapper.table.plan(ids).routes == LEARNED).float().mean().item()
    assert stats["learned_share"] == pytest.approx(planned)


def test_a_table_of_another_model_is_refused(model):
    with pytest.raises(ValueError, match="the table is of model"):
        VARMixtralWrapper(tiny_model(seed=1), tiny_table(model))


def test_another_configuration_than_the_tables_is_refused(model):
    with pytest.raises(ValueError, match="another configuration"):
        VARMixtralWrapper(model, tiny_table(model), get_balanced_config())
