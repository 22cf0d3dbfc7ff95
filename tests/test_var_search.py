"""The search over thresholds: a front that nothing dominates, the same on every run."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tinyguardrail_common.errors import UserError
from tinyguardrail_common.files import read_json, write_json
from var_model import tiny_model
from var_model import token_ids as sequences
from var_moe.evaluation.search import Objective, Point, front_configs, pareto_front, search
from var_moe.reference.corpus import Stream
from var_moe.routing.config import PRESETS, VARConfig, get_config
from var_moe.routing.statistics import collect_statistics

GOALS = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=1, max_size=25)


def dominates(a, b):
    return a != b and a[0] <= b[0] and a[1] <= b[1]


@given(GOALS)
def test_the_front_is_what_no_other_point_dominates(goals):
    front = {goals[index] for index in pareto_front(goals)}
    assert front == {each for each in goals if not any(dominates(other, each) for other in goals)}
    assert len(pareto_front(goals)) == len(front)
    costs = [goals[index][1] for index in pareto_front(goals)]
    assert costs == sorted(costs)


def test_a_front_of_nothing_is_an_error():
    with pytest.raises(UserError, match=r"var\.search\.trials"):
        pareto_front([])


def toy(trial):
    """Two goals whose exact front is known: x^2 against 2 - x, other settings only cost."""
    x = trial.suggest_float("single_share", 0.0, 1.0)
    waste = trial.suggest_float("learned_share", 0.0, 0.3)
    config = VARConfig(preset=trial.user_attrs.get("preset", "t"), single_share=x, learned_share=waste)
    trial.set_user_attr("point", Point(config, x * x + waste, waste, 2 - x))
    return x * x + waste, 2 - x + waste


def test_the_search_starts_from_the_presets_and_repeats_itself():
    first, second = (search(toy, trials=12, seed=5) for _ in range(2))
    assert [point.config.preset for point in first[:3]] == list(PRESETS)
    assert [point.config.single_share for point in first[:3]] == [get_config(p).single_share for p in PRESETS]
    assert first == second
    assert search(toy, trials=12, seed=6) != first


def test_the_search_nears_a_known_front():
    points = search(toy, trials=60, seed=5)
    goals = [(point.perplexity_change, point.cost) for point in points]
    front = [goals[index] for index in pareto_front(goals)]
    assert len(front) >= 5
    excess = [quality - (2 - cost) ** 2 for quality, cost in front]  # on the exact front it is 0
    assert min(excess) < 0.1


def test_the_front_comes_back_from_its_file(tmp_path):
    points = search(toy, trials=5, seed=5)
    write_json(tmp_path / "search.json", {"front": [point.as_json() for point in points]})
    assert front_configs(read_json(tmp_path / "search.json")) == [point.config for point in points]


@pytest.fixture(scope="module")
def objective():
    model = tiny_model()
    statistics = collect_statistics(model, sequences(40, seed=1), 16)
    ids = sequences(10, seed=4).flatten()

    class Settings:
        window, stride, batch_size = 12, 8, 4

    return Objective(model, statistics, sequences(10, seed=2), Stream(ids, torch.zeros_like(ids)), Settings)


def test_a_point_that_changes_nothing_lies_at_no_change_and_full_cost(objective):
    point = objective.measure(VARConfig(learned_share=1.0, single_share=0.0))
    assert point.perplexity_change == pytest.approx(0, abs=1e-4)
    assert point.cost == pytest.approx(3)  # two experts a call, and every call left to the router


def test_points_of_a_real_table(objective):
    points = search(objective, trials=5, seed=1)
    assert len(points) == 5
    assert [point.config.two_expert_layers for point in points[:3]] == [(0,), (0,), ()]
    assert points[2].experts_per_call < points[1].experts_per_call < points[0].experts_per_call
    record = points[3].as_json()
    assert record["cost"] == pytest.approx(record["experts_per_call"] + record["learned_share"])
    assert search(objective, trials=5, seed=1) == points
