"""Guards with one part of training changed, against the reference on the same rows."""

import os
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow.parquet as pq
import pytest
from sklearn.metrics import accuracy_score, roc_auc_score

from synthetic_results import write_results
from tinyguardrail.data.labels import INTENTS
from tinyguardrail_common.errors import UserError
from tinyguardrail_paper.analysis.ablation import evaluate_ablation
from tinyguardrail_paper.experiments.ablation import arm_training
from tinyguardrail_paper.scores.inputs import InputError
from tinyguardrail_paper.settings.params import Params, load_params
from tinyguardrail_paper.tables.training_tables import ablation, arms_that_differ

ROOT = Path(__file__).parent.parent
FOLDER = Path("data/scores/ablation/seed0")
ARMS = load_params(ROOT / "params.yaml").ablate.arms
REFERENCE = next(iter(ARMS))


@pytest.fixture(scope="module")
def params() -> Params:
    return load_params(ROOT / "params.yaml")


@pytest.fixture(scope="module")
def inputs(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("ablation")
    write_results(folder)
    return folder


@pytest.fixture
def found(inputs, params, monkeypatch):
    monkeypatch.chdir(inputs)
    return evaluate_ablation(params)


def routed_test_rows(arm: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Intents, probabilities (n, 4) of the branch taken, and whether that was the deep one."""
    table = pq.read_table(FOLDER / f"{arm}.parquet").to_pandas()
    table = table[table["split"] == "test"]
    deep = table["router_score"].to_numpy() >= 0.5
    branches = [
        table[[f"{branch}_{name}" for name in INTENTS]].to_numpy(float) for branch in ("fast", "deep")
    ]
    intent = table["intent"].map(INTENTS.index).to_numpy()
    return intent, np.where(deep[:, None], branches[1], branches[0]), deep


def test_every_arm_changes_one_setting_of_training(params):
    reference = arm_training(params.train, REFERENCE, params.ablate).model_dump()
    assert reference["epochs"] == 1
    assert reference["rows_per_epoch"] == params.ablate.rows
    assert reference["adversarial_epoch"] is reference["quantization_aware_epoch"] is None
    for arm in ARMS:
        own = arm_training(params.train, arm, params.ablate).model_dump()
        changed = {name for name, value in own.items() if value != reference[name]}
        assert changed == set(ARMS[arm])


def test_an_arm_that_changes_nothing_is_an_error(params):
    train = params.train.model_copy(update={"balance_weight": 0.0})
    with pytest.raises(UserError, match=r"train\.balance_weight is 0\.0 already: the arm 'no_balance_loss'"):
        arm_training(train, "no_balance_loss", params.ablate)


@pytest.mark.parametrize("arm", [REFERENCE, "cross_entropy", "no_router_loss"])
def test_levels_are_those_of_the_branch_that_the_router_chooses(arm, found):
    intent, probabilities, deep = routed_test_rows(arm)
    expected = accuracy_score(intent, probabilities.argmax(-1))
    assert found[arm]["accuracy"].mean == pytest.approx(expected)
    assert found[arm]["deep_share"].mean == pytest.approx(deep.mean())


def test_the_gain_of_routing_is_over_as_many_rows_by_chance(found):
    level = {name: found[REFERENCE][name].mean for name in ("accuracy_fast", "accuracy_deep", "deep_share")}
    by_chance = (
        level["deep_share"] * level["accuracy_deep"] + (1 - level["deep_share"]) * level["accuracy_fast"]
    )
    gain = found[REFERENCE]["routing_gain"]
    assert gain.mean == pytest.approx(found[REFERENCE]["accuracy"].mean - by_chance)
    assert gain.interval[0] < gain.mean < gain.interval[1]


def test_changes_are_the_arm_less_the_reference(found):
    for arm in set(ARMS) - {REFERENCE}:
        for metric in ("auc", "accuracy"):
            expected = found[arm][metric].mean - found[REFERENCE][metric].mean
            assert found[arm][f"{metric}_change"].mean == pytest.approx(expected, abs=1e-9)
    intent, probabilities, _ = routed_test_rows("no_router_loss")
    blocked = roc_auc_score(intent != INTENTS.index("benign"), 1 - probabilities[:, INTENTS.index("benign")])
    assert found["no_router_loss"]["auc"].mean == pytest.approx(blocked, abs=0.01)  # temperature aside


def test_only_real_differences_are_significant(found):
    worse = found["no_router_loss"]["accuracy_change"]
    assert worse.mean < -0.2
    assert worse.extra["significant"]
    same = found["energy_loss"]["accuracy_change"]
    assert (same.mean, same.extra["p_holm"], same.extra["significant"]) == (0.0, 1.0, False)
    differ = arms_that_differ(SimpleNamespace(systems={"ablation": found}))
    assert differ["worse"] == ["no router loss"]


def test_intents_kept_by_int8_are_counted_over_test_rows(found):
    table = pq.read_table(FOLDER / "adversarial.parquet").to_pandas()
    table = table[table["split"] == "test"]
    expected = (table["fp32_intent"] == table["int8_intent"]).mean()
    assert expected < 1
    assert found["adversarial"]["int8_same_intent"].mean == pytest.approx(expected)


def test_the_table_has_every_arm(found):
    rows = ablation.rows(SimpleNamespace(systems={"ablation": found}))
    assert rows[0][0] == "reference"
    assert len(rows) == len(ARMS)
    assert rows[0][2:4] == ("\u2014", "\u2014")  # no change against itself


def test_other_rows_are_an_error(tmp_path, params, monkeypatch):
    write_results(tmp_path)
    monkeypatch.chdir(tmp_path)
    os.remove(FOLDER / "energy_loss.parquet")
    with pytest.raises(InputError, match=r"energy_loss\.parquet is missing; run: dvc repro ablate"):
        evaluate_ablation(params)
