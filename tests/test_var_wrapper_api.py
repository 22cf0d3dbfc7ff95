"""What users of the wrapper type: switching, counting, saving, and input that cannot be right."""

import json
from dataclasses import replace

import pytest
import torch

import var_moe
from var_model import LAYERS, LENGTH, tiny_model, tiny_table, token_ids
from var_moe.routing.router import VARRouter
from var_moe.routing.table import RoutingTable
from var_moe.routing.verification import verify
from var_moe.routing.wrapper import VARMixtralWrapper


@pytest.fixture
def model():
    return tiny_model()


@pytest.fixture
def table():
    return tiny_table(tiny_model())


@torch.inference_mode()
def logits_of(model, ids, **kwargs):
    return model(input_ids=ids, **kwargs).logits


def configured(table, **settings):
    return table.config.model_copy(update=settings)


def test_switching_twice_is_switching_once(model, table):
    ids = token_ids(3, seed=5)
    expected = logits_of(model, ids)
    wrapper = VARMixtralWrapper(model, table)
    routed = logits_of(wrapper, ids)
    wrapper.enable_var()
    wrapper.patch_layers()
    assert torch.equal(logits_of(wrapper, ids), routed)
    wrapper.disable_var()
    wrapper.disable_var()
    assert not wrapper.enabled
    assert torch.equal(logits_of(wrapper, ids), expected)
    assert not model.model._forward_hooks
    assert not model.model._forward_pre_hooks
    assert not any(isinstance(module, VARRouter) for module in model.modules())
    wrapper.patch_layers()
    assert wrapper.enabled
    assert torch.equal(logits_of(wrapper, ids), routed)


def test_a_configuration_can_leave_var_off_from_the_start(model, table):
    ids = token_ids(3, seed=5)
    expected = logits_of(model, ids)
    wrapper = VARMixtralWrapper(model, table, configured(table, enable_var=False))
    assert not wrapper.enabled
    assert torch.equal(logits_of(wrapper, ids), expected)
    wrapper.enable_var()
    assert not torch.equal(logits_of(wrapper, ids), expected)


def test_counting_log_and_audit_change_no_logits(model, table, tmp_path):
    ids = token_ids(3, seed=5)
    plain = VARMixtralWrapper(tiny_model(), table, configured(table, track_performance=False))
    watched = VARMixtralWrapper(model, table, log_path=tmp_path / "routing.log", audit_rate=0.5)
    assert torch.equal(logits_of(plain, ids), logits_of(watched, ids))


def test_without_tracking_nothing_is_counted(model, table):
    wrapper = VARMixtralWrapper(model, table, configured(table, track_performance=False))
    logits_of(wrapper, token_ids(2))
    with pytest.raises(ValueError, match="set track_performance"):
        wrapper.get_performance_stats()


def test_saved_statistics_are_those_returned(model, table, tmp_path):
    wrapper = VARMixtralWrapper(model, table, audit_rate=0.5)
    logits_of(wrapper, token_ids(4, seed=6))
    wrapper.save_performance_stats(tmp_path / "stats.json")
    saved = json.loads((tmp_path / "stats.json").read_text())
    assert saved["table_sha256"] == table.sha256()
    assert saved["config"]["learned_share"] == table.config.learned_share
    assert saved["audit"] == wrapper.audit_result()
    for name, value in wrapper.get_performance_stats().items():
        assert saved[name] == value


def test_the_summary_has_a_line_per_layer(model, table, capsys):
    wrapper = VARMixtralWrapper(model, table, audit_rate=0.5)
    logits_of(wrapper, token_ids(4, seed=6))
    wrapper.print_performance_summary()
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"{4 * LENGTH} tokens"
    assert [line.split()[0] for line in lines[2:]] == [*map(str, range(LAYERS)), "all", "audit:"]
    assert f"{wrapper.get_performance_stats()['learned_share']:.1%}" in lines[-2]


def test_reset_forgets_counts_and_contexts(model, table):
    wrapper = VARMixtralWrapper(model, table, audit_rate=0.5)
    ids = token_ids(2, seed=8)
    with torch.inference_mode():
        cache = wrapper(input_ids=ids[:, :6], use_cache=True).past_key_values
        wrapper.reset()
        with pytest.raises(ValueError, match="no token has been routed"):
            wrapper.get_performance_stats()
        assert wrapper.audit_result()["sampled"] == 0
        wrapper(input_ids=ids[:, 6:7], past_key_values=cache, use_cache=True)
    # without a context the token's own row decides
    plan = table.plan(ids[:, 6:7])
    assert wrapper.get_performance_stats()["cached_share"] == 0
    assert wrapper.get_performance_stats()["learned_share"] == (plan.routes == 2).float().mean()


def test_two_wrappers_on_one_model_are_refused(model, table):
    first = VARMixtralWrapper(model, table)
    with pytest.raises(ValueError, match="wrapped already"):
        VARMixtralWrapper(model, table)
    first.disable_var()
    VARMixtralWrapper(model, table)


def test_a_table_with_missing_layers_is_refused(model, table, tmp_path):
    cut = replace(
        table,
        experts=table.experts[:-1].contiguous(),
        weights=table.weights[:-1].contiguous(),
        bypass=table.bypass[:-1].contiguous(),
        ratio_thresholds=table.ratio_thresholds[:-1].contiguous(),
    )
    cut.save(tmp_path / "table.safetensors")
    with pytest.raises(ValueError, match=r"\(2, 4, 2, 40\), the model \(3, 4, 2, 40\)"):
        VARMixtralWrapper(model, RoutingTable.load(tmp_path / "table.safetensors"))


@pytest.mark.parametrize("name", ["experts", "weights", "bypass", "ratio_thresholds"])
def test_a_table_whose_tensors_disagree_is_refused(table, tmp_path, name):
    cut = replace(table, **{name: getattr(table, name)[:-1].contiguous()})
    cut.save(tmp_path / "table.safetensors")
    with pytest.raises(ValueError, match="no intact routing table"):
        RoutingTable.load(tmp_path / "table.safetensors")


def test_a_batch_of_padding_alone(model, table, tmp_path):
    ids = torch.zeros(2, 5, dtype=torch.int64)
    path = tmp_path / "routing.log"
    with VARMixtralWrapper(model, table, log_path=path, audit_rate=1.0) as wrapper:
        output = logits_of(wrapper, ids, attention_mask=torch.zeros_like(ids))
        assert output.shape == (2, 5, 40)
        assert output.isfinite().all()
        with pytest.raises(ValueError, match="no token has been routed"):
            wrapper.get_performance_stats()
        assert wrapper.audit_result()["sampled"] == 0
    assert verify(path, table).tokens == 0


def test_more_tokens_than_positions_are_an_error(model, table):
    wrapper = VARMixtralWrapper(model, table)
    with pytest.raises(ValueError, match="sequences of 65 tokens exceed the model's 64 positions"):
        logits_of(wrapper, torch.zeros(1, 65, dtype=torch.int64))
    with torch.inference_mode():
        cache = wrapper(input_ids=torch.zeros(1, 64, dtype=torch.int64), use_cache=True).past_key_values
        with pytest.raises(ValueError, match="65 tokens exceed"):
            wrapper(input_ids=torch.zeros(1, 1, dtype=torch.int64), past_key_values=cache)
        with pytest.raises(ValueError, match="65 tokens exceed"):
            wrapper(inputs_embeds=torch.zeros(1, 65, 16))
    assert logits_of(wrapper, token_ids(1)).isfinite().all()


@pytest.mark.parametrize("beams", [1, 4])
def test_every_step_of_generation_is_in_the_log(model, table, tmp_path, beams):
    """Beams are reordered between steps; their contexts go with them, and the log replays it."""
    path, prompt = tmp_path / "routing.log", token_ids(2, seed=9)[:, :5]
    mask = torch.ones_like(prompt)
    mask[0, :2] = 0
    with VARMixtralWrapper(model, table, log_path=path) as wrapper:
        wrapper.generate(prompt, attention_mask=mask, max_new_tokens=6, num_beams=beams, do_sample=False)
        stats = wrapper.get_performance_stats()
    found = verify(path, table)
    assert found.forward_passes == 6
    assert found.tokens == stats["tokens"]
    assert found.learned_calls == round(stats["learned_share"] * stats["tokens"] * LAYERS)


def test_every_public_name_can_be_imported_from_the_package():
    for name in var_moe.__all__:
        assert getattr(var_moe, name).__name__ == name
    with pytest.raises(AttributeError, match="no attribute 'VARConfigg'"):
        var_moe.VARConfigg  # noqa: B018


def test_five_lines_from_a_model_to_verified_routing(tmp_path):
    model, text = tiny_model(), token_ids(40, seed=1)
    statistics = var_moe.collect_statistics(model, text[:30], batch_size=8)
    table = var_moe.build_table(statistics, var_moe.get_balanced_config(), held_out=text[30:])
    with var_moe.VARMixtralWrapper(model, table, log_path=tmp_path / "routing.log") as wrapper:
        prompt = text[:1, :4]
        wrapper.generate(prompt, attention_mask=torch.ones_like(prompt), max_new_tokens=4, do_sample=False)
    assert var_moe.verify(tmp_path / "routing.log", table).tokens == 4 + 3
