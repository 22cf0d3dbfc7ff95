"""Settings are strict, and a wrong one is named in one line."""

import copy
from pathlib import Path

import pytest
from pydantic import BaseModel
from ruamel.yaml import YAML

from tinyguardrail_paper.settings.params import Params, ParamsError, load_params, parse_params

ROOT = Path(__file__).parent.parent
CONTENT = YAML(typ="safe", pure=True).load((ROOT / "params.yaml").read_text(encoding="utf-8"))
STAGES = YAML(typ="safe", pure=True).load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]


def changed(key: str, value):
    content = copy.deepcopy(CONTENT)
    *sections, last = key.split(".")
    place = content
    for section in sections:
        place = place[section]
    place[last] = value
    return content


def leaves(content: dict, prefix: str = ""):
    for key, value in content.items():
        if isinstance(value, dict):
            yield from leaves(value, f"{prefix}{key}.")
        else:
            yield prefix + key


def test_the_committed_settings_are_accepted():
    assert load_params(ROOT / "params.yaml").scale == "root"


@pytest.mark.parametrize(
    ("key", "value", "allowed"),
    [
        ("router.threshold", "high", "(allowed: >= 0, <= 1)"),
        ("router.threshold", 1.5, "less than or equal to 1"),
        ("train.epochs", 0, "greater than or equal to 1"),
        ("train.epochs", 2.5, "valid integer"),
        ("train.epochs", True, "valid integer"),
        ("train.precision", "fp8", "'bf16' or 'fp32'"),
        ("train.weights", {"benign": 0.0}, "greater than 0"),
        ("train.lr", 0.1, "unknown key; allowed here: epochs"),
        ("model.num_experts_per_text", 99, "at most num_experts (24)"),
        ("data.test_fraction", 0.95, "must be below 1"),
        ("seeds", [], "at least 1 item"),
        ("seeds", [3, 3], "must all differ"),
        ("var.seeds", [0, 0], "must all differ"),
        ("ablate.seeds", [1, 1], "must all differ"),
        ("var.seeds", [1, 2], "must be among seeds; 0 is not"),
        ("var.train.recipe", "magic", "'late_ratio_skip'"),
        ("var.train.entropy_weight", 0.0, "greater than 0"),
        (
            "baselines.names",
            ["tfidf", "bert"],
            "different ones of tfidf, minilm_frozen, minilm_frozen_normalized",
        ),
        ("attacks.rot14", 3, "max_characters, flipattack, codechameleon, homoglyph, encoding"),
        ("threshold", 0.5, "unknown key"),
    ],
)
def test_a_wrong_setting_is_one_line_with_file_key_value_and_what_is_allowed(key, value, allowed):
    with pytest.raises(ParamsError) as caught:
        parse_params(changed(key, value), "params.yaml")
    message = str(caught.value)
    assert message.startswith("params.yaml: ")
    assert key.split(".")[0] in message
    assert allowed in message
    assert "\n" not in message


def test_weights_of_a_draw_that_takes_every_row_are_refused():
    content = changed("train.rows_per_epoch", None)
    parse_params(content, "params.yaml")
    content["train"]["weights"] = {"benign": 2.0}
    with pytest.raises(ParamsError, match="weights say what is drawn, but rows_per_epoch is null"):
        parse_params(content, "params.yaml")


def test_a_misspelt_key_is_named_as_it_stands_in_the_file():
    content = changed("router.treshold", 0.5)
    del content["router"]["threshold"]
    with pytest.raises(ParamsError, match=r"router\.treshold = 0\.5 is an unknown key"):
        parse_params(content)


def test_a_missing_setting_is_named():
    content = copy.deepcopy(CONTENT)
    del content["train"]["epochs"]
    with pytest.raises(ParamsError, match=r"train\.epochs is missing"):
        parse_params(content)


def test_a_number_in_exponent_form_is_a_number(tmp_path):
    """`dvc exp run -S train.learning_rate=0.00001` writes 1e-05, text to a YAML 1.1 reader."""
    path = tmp_path / "params.yaml"
    writer = YAML()
    with path.open("w", encoding="utf-8") as file:
        writer.dump(changed("train.learning_rate", 1e-05), file)
    assert "1e-05" in path.read_text(encoding="utf-8")
    assert load_params(path).train.learning_rate == 1e-05


def test_a_broken_file_is_reported_in_one_line(tmp_path):
    path = tmp_path / "params.yaml"
    path.write_text("a: [1, 2\nb: 3", encoding="utf-8")
    with pytest.raises(ParamsError, match="not YAML") as caught:
        load_params(path)
    assert "\n" not in str(caught.value)


def test_every_leaf_is_tracked_by_a_stage():
    tracked = {key for stage in STAGES.values() for key in stage.get("params", [])}
    for leaf in leaves(CONTENT):
        parents = {
            leaf[: i if i > 0 else len(leaf)] for i in range(len(leaf) + 1) if leaf[i : i + 1] in (".", "")
        }
        assert parents & tracked, f"{leaf} is in params.yaml but no stage tracks it"


def test_every_tracked_key_exists():
    for stage in STAGES.values():
        for key in stage.get("params", []):
            model: type[BaseModel] = Params
            for part in key.split("."):
                assert part in model.model_fields, key
                model = model.model_fields[part].annotation
