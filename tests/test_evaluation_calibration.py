"""Temperature and blocking threshold keep what they promise on fresh data."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinyguardrail.runtime.temperature import apply_temperature, fit_temperature
from tinyguardrail.runtime.threshold import blocking_threshold
from tinyguardrail_common.errors import UserError


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.5])
def test_temperature_undoes_the_sharpening_of_a_calibrated_model(temperature):
    generator = np.random.default_rng(4)
    honest = generator.dirichlet(np.ones(4), size=6000)
    label = (generator.random((6000, 1)) > honest.cumsum(axis=1)).sum(axis=1)
    stated = apply_temperature(honest, 1 / temperature)
    assert fit_temperature(stated, label) == pytest.approx(temperature, rel=0.06)
    assert apply_temperature(stated, temperature) == pytest.approx(honest, abs=1e-6)


def test_temperature_survives_probabilities_of_zero():
    assert math.isfinite(fit_temperature(np.array([[1.0, 0, 0, 0], [0, 1.0, 0, 0]]), np.array([1, 1])))


@pytest.mark.parametrize(("rows", "target"), [(19, 0.05), (150, 0.05), (150, 0.01), (400, 0.1)])
def test_blocking_threshold_holds_its_rate_on_fresh_data(rows, target):
    generator = np.random.default_rng(5)
    rates = [
        np.mean(generator.random(500) >= blocking_threshold(generator.random(rows), target))
        for _ in range(600)
    ]
    spread = 3 * np.std(rates) / math.sqrt(len(rates))
    assert target - 1 / (rows + 1) - spread <= np.mean(rates) <= target + spread


@given(st.integers(20, 200), st.sampled_from([0.05, 0.1, 0.5]))
def test_blocking_threshold_keeps_to_its_target_where_scores_tie(rows, target):
    scores = np.round(np.random.default_rng(rows).random(rows), 1)
    assert np.mean(scores >= blocking_threshold(scores, target)) <= target


def test_too_few_benign_rows_for_a_threshold():
    with pytest.raises(UserError, match="at least 19 are needed"):
        blocking_threshold(np.zeros(18), 0.05)
