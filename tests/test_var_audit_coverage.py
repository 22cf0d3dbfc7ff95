"""The audit's width and coverage, as `var_eval` reports them."""

from types import SimpleNamespace

import pytest
import torch
from scipy.stats import binom

from var_model import tiny_model, tiny_table, token_ids
from var_moe.evaluation.audit import audit_record, coverage
from var_moe.reference.corpus import Stream
from var_moe.routing.audit import clopper_pearson


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
