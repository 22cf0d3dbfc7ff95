"""The audit's width and coverage, and the time of tracking, as `var_eval` reports them."""

from types import SimpleNamespace

import pytest
import torch
from scipy.stats import binom

from var_model import tiny_model, tiny_table, token_ids
from var_moe.assurance import audit_record, coverage, tracking_overhead
from var_moe.audit import clopper_pearson
from var_moe.corpus import Stream
from var_moe.workloads import PREFILL, Workload


def test_coverage_is_that_of_the_exact_distribution():
    """By summing over all outcomes of a sample of fixed size, close to one of random size."""
    agreed, calls, rate = 9000, 10_000, 0.02
    held = [
        binom.pmf(hits, 200, 0.9)
        for hits in range(201)
        if clopper_pearson(hits, 200)[0] <= 0.9 <= clopper_pearson(hits, 200)[1]
    ]
    assert coverage(agreed, calls, rate, draws=4000) == pytest.approx(sum(held), abs=0.015)


def test_the_record_is_the_same_on_every_run_and_holds_what_is_judged():
    model = tiny_model()
    table = tiny_table(model)
    ids = token_ids(60, seed=3).flatten()
    settings = SimpleNamespace(window=12, stride=8, batch_size=8)
    text = Stream(ids, torch.zeros_like(ids))
    first, second = (audit_record(model, table, text, settings) for _ in range(2))
    assert first == second
    assert first["interval_width"] == pytest.approx(first["interval"][1] - first["interval"][0])
    assert 0 < first["true_agreement"] <= 1
    assert first["coverage"] >= 0.9


def test_tracking_is_timed_with_a_log_and_leaves_nothing_behind():
    model = tiny_model()
    before = set(map(id, model.modules()))
    overhead = tracking_overhead(model, tiny_table(model), Workload(PREFILL, token_ids(2), 0, 1), repeats=2)
    assert -1 < overhead < 50
    assert set(map(id, model.modules())) == before
