"""The records of VAR's timings: every arm and workload asked for, and nothing left behind in the model."""

from types import SimpleNamespace

import pytest
import torch

from var_model import LENGTH, tiny_model, tiny_table, token_ids
from var_moe.evaluation.arms import ARMS, SKIP_ARM, VAR_ARM
from var_moe.evaluation.latency import time_front, time_phase_one, time_var, time_workload, tracking_overhead
from var_moe.evaluation.text import EvaluationText
from var_moe.evaluation.timing import PREFILL, Workload
from var_moe.reference.corpus import Stream
from var_moe.routing.wrapper import VARMixtralWrapper


@pytest.fixture
def wrapper():
    model = tiny_model()
    return VARMixtralWrapper(model, tiny_table(model))


@pytest.fixture
def wrappers():
    """Two presets of one model."""
    model, found = tiny_model(), {}
    for preset, share in {"conservative": 0.3, "balanced": 0.6}.items():
        found[preset] = VARMixtralWrapper(model, tiny_table(model, preset=preset, single_share=share))
        found[preset].disable_var()
    return found


SETTINGS = SimpleNamespace(
    preset="balanced",
    train=SimpleNamespace(sequence_length=LENGTH),
    eval=SimpleNamespace(batch_size=4),
    latency=SimpleNamespace(
        repeats=2,
        search_repeats=3,
        phase_one_sequences=5,
        prefill_batches=[1, 2],
        decode_batches=[1],
        decode_prompt=4,
        decode_tokens=6,
        threads=[1],
    ),
)


def text():
    ids = token_ids(10, seed=4)
    stream = Stream(ids.flatten(), torch.zeros(ids.numel(), dtype=torch.int64))
    return EvaluationText(ids, ids, stream, stream)


def test_a_seeds_record_has_every_workload_and_the_other_presets_on_the_headline_one(wrappers):
    found = time_var(wrappers, text(), SETTINGS)
    assert list(found) == [
        "preset", "headline", "hardware", "environment", "workloads", "phase_one", "tracking_overhead",
    ]  # fmt: skip
    assert list(found["workloads"]) == [
        "prefill_1x12_threads1", "prefill_2x12_threads1", "decode_1_threads1",
    ]  # fmt: skip
    assert (found["preset"], found["headline"]) == ("balanced", "prefill_2x12_threads1")
    for name, workload in found["workloads"].items():
        others = {"var_conservative"} if name == found["headline"] else set()
        assert set(workload["tokens_per_second"]) == {*ARMS} | others
    assert found["phase_one"]["tokens"] == 5 * LENGTH
    assert {"processor", "cores", "torch"} <= set(found["hardware"])
    assert "MALLOC_TRIM_THRESHOLD_" in found["environment"]


def test_the_fronts_record_has_every_point_on_the_headline_workload(wrappers):
    found = time_front(wrappers, text(), SETTINGS)
    assert list(found["workloads"]) == [found["headline"]] == ["prefill_2x12_threads1"]
    [workload] = found["workloads"].values()
    assert set(workload["speedups"]) == {SKIP_ARM, VAR_ARM, *wrappers}
    assert {len(each) for each in workload["tokens_per_second"].values()} == {3}


def test_tracking_is_timed_with_a_log_and_leaves_nothing_behind():
    model = tiny_model()
    before = set(map(id, model.modules()))
    overhead = tracking_overhead(model, tiny_table(model), Workload(PREFILL, token_ids(2), 0, 1), repeats=2)
    assert -1 < overhead < 50
    assert set(map(id, model.modules())) == before


def test_phase_one_is_timed_against_a_plain_pass_over_the_same_text(wrapper):
    wrapper.disable_var()
    seen = []
    wrapper.model.model.register_forward_pre_hook(
        lambda _, args, kwargs: seen.append(kwargs["input_ids"].numel()), with_kwargs=True
    )
    found = time_phase_one(wrapper.model, token_ids(10, seed=9), batch_size=4, repeats=2)
    assert sum(seen) == 2 * 3 * 10 * 12  # both ways, the warm-up included
    assert found["tokens"] == 120
    ratios = [a / b for a, b in zip(found["seconds"]["collecting"], found["seconds"]["plain"], strict=True)]
    assert found["ratio"] == pytest.approx(sum(ratios) / 2)


def test_a_timed_workload_reports_every_arm(wrapper):
    wrapper.disable_var()
    other = VARMixtralWrapper(wrapper.model, tiny_table(wrapper.model, single_share=1.0))
    other.disable_var()
    workload = Workload(PREFILL, token_ids(2, seed=8), 0, 1)
    found = time_workload(wrapper, workload, 3, {"var_aggressive": other})
    assert set(found["tokens_per_second"]) == {*ARMS, "var_aggressive"}
    assert all(len(each) == 3 for each in found["tokens_per_second"].values())
    assert set(found["speedups"]) == {SKIP_ARM, VAR_ARM, "var_aggressive"}
    assert not wrapper.enabled
    assert not other.enabled
