"""Arms, workloads and speed-ups: what is timed is what is said, and every arm leaves the model as it was."""

from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from tinyguardrail_common.errors import UserError
from var_model import EXPERTS, LAYERS, tiny_model, tiny_table, token_ids
from var_moe.evaluation.arms import ARMS, OWN_ARM, SKIP_ARM, STOCK_ARMS, VAR_ARM, experts_per_call, running
from var_moe.evaluation.timing import (
    DECODE,
    Workload,
    build_workloads,
    compare_speeds,
    largest_prefill,
    speedup,
    time_in_turns,
)
from var_moe.routing.wrapper import VARMixtralWrapper


@pytest.fixture
def wrapper():
    model = tiny_model()
    return VARMixtralWrapper(model, tiny_table(model))


@torch.inference_mode()
def logits(wrapper, ids):
    return wrapper.model(input_ids=ids).logits


def test_every_arm_gives_the_model_back_as_it_was(wrapper):
    ids = token_ids(3, seed=5)
    expected = logits(SimpleNamespace(model=tiny_model()), ids)
    for arm in (*ARMS, *ARMS):
        with running(wrapper, arm):
            logits(wrapper, ids)
        assert torch.equal(logits(wrapper, ids), expected), arm
        assert not wrapper.enabled


def test_stock_arms_and_own_kernel_agree_and_var_is_var(wrapper):
    ids = token_ids(3, seed=5)
    found = {}
    for arm in ARMS:
        with running(wrapper, arm):
            found[arm] = logits(wrapper, ids)
    torch.testing.assert_close(found[OWN_ARM], found[STOCK_ARMS[0]], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(found[STOCK_ARMS[1]], found[STOCK_ARMS[0]], rtol=1e-4, atol=1e-4)
    wrapper.enable_var()
    assert torch.equal(found[VAR_ARM], logits(wrapper, ids))
    assert not torch.allclose(found[SKIP_ARM], found[OWN_ARM], rtol=1e-3, atol=1e-3)


def test_ratio_skip_follows_the_stock_router_and_drops_by_ratio(wrapper):
    """The expected choice is worked out from the router's logits alone."""
    ids, routed = token_ids(3, seed=6), {}
    with running(wrapper, SKIP_ARM) as hooks:
        handles = [
            layer.mlp.gate.register_forward_hook(
                lambda _, __, out, index=index: routed.__setitem__(index, out)
            )
            for index, layer in enumerate(wrapper.model.model.layers)
        ]
        logits(wrapper, ids)
        for handle in handles:
            handle.remove()
        counted = experts_per_call(hooks)
    used = 0
    for layer in range(LAYERS):
        scores, weights, experts = routed[layer]
        threshold = float(wrapper.table.ratio_thresholds[layer])
        for row in range(ids.numel()):
            probability = scores[row].softmax(-1).tolist()
            first, second = sorted(range(EXPERTS), key=lambda e: -probability[e])[:2]
            if probability[second] / probability[first] <= threshold:
                assert experts[row].tolist() == [first, EXPERTS]
                assert weights[row].tolist() == [1, 0]
                used += 1
            else:
                assert experts[row].tolist() == [first, second]
                total = probability[first] + probability[second]
                assert weights[row, 0].item() == pytest.approx(probability[first] / total, rel=1e-4)
                used += 2
    assert 1 < counted < 2
    assert counted == pytest.approx(used / (LAYERS * ids.numel()))


@pytest.mark.parametrize("arm", ARMS)
def test_decoding_steps_through_the_text_with_a_cache(wrapper, arm):
    """The last step of a timed decoding sees what one forward pass over the whole text sees."""
    ids = token_ids(2, seed=7)
    seen = []
    with running(wrapper, arm):
        whole = logits(wrapper, ids)
        handle = wrapper.model.register_forward_hook(lambda _, __, out: seen.append(out.logits))
        assert Workload(DECODE, ids, 5, 1).seconds(wrapper.model) > 0
        handle.remove()
    assert [each.shape[1] for each in seen] == [5] + [1] * (ids.shape[1] - 5)
    torch.testing.assert_close(torch.cat(seen, dim=1), whole, rtol=1e-3, atol=1e-3)


def test_workloads_have_the_sizes_asked_for():
    settings = SimpleNamespace(
        prefill_batches=[1, 8], decode_batches=[1, 16], decode_prompt=4, decode_tokens=6, threads=[1, 2]
    )
    found = build_workloads(settings, torch.arange(50), length=20)
    assert [each.name for each in found[:4]] == [
        "prefill_1x20_threads1", "prefill_8x20_threads1", "decode_1_threads1", "decode_16_threads1",
    ]  # fmt: skip
    assert [each.tokens for each in found[:4]] == [20, 160, 6, 96]
    assert len(found) == 8
    assert largest_prefill(found).name == "prefill_8x20_threads1"
    settings.decode_tokens = 17
    with pytest.raises(UserError, match="decode_tokens = 21 exceed the sequence of 20"):
        build_workloads(settings, torch.arange(50), length=20)


def test_arms_take_turns_and_the_order_rotates():
    order = []

    def run(name):
        order.append(name)
        return float(len(order))

    seconds = time_in_turns({name: partial(run, name) for name in "abc"}, repeats=2, label="")
    assert "".join(order) == "abcbcacab"
    assert seconds == {"a": [6, 8], "b": [4, 9], "c": [5, 7]}


def test_speedups_are_against_the_stock_arm_of_the_best_median():
    speeds = {
        "stock_eager": [100.0, 100.0, 900.0],
        "stock_grouped_mm": [110.0, 120.0, 110.0],
        "own_kernel_var_off": [110.0, 130.0, 120.0],
        "router_ratio_skip": [150.0, 150.0, 150.0],
        "var": [165.0, 180.0, 154.0],
    }
    found = compare_speeds(speeds)
    assert found["best_stock"] == "stock_grouped_mm"
    assert set(found["speedups"]) == {"router_ratio_skip", "var"}
    assert found["speedups"]["var"]["vs_best_stock"]["median"] == pytest.approx(1.5)  # of 1.5, 1.5, 1.4
    assert found["speedups"]["var"]["vs_own_kernel"]["median"] == pytest.approx(180 / 130)


def test_the_interval_of_a_speedup_covers_the_median_of_fresh_repeats():
    """An independent check of coverage: 95% intervals of 15 repeats hold the true median about that often."""
    generator = np.random.default_rng(3)
    held = 0
    for _ in range(60):
        ratios = 1.3 * np.exp(generator.normal(0, 0.05, size=15))
        low, high = speedup(list(ratios), [1.0] * 15)["ci95"]
        held += low <= 1.3 <= high
    assert held >= 52
    assert speedup([2.0], [1.0]) == {"median": 2.0, "ci95": None}
