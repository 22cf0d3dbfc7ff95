"""A folder that does not hold a guard of this version is refused in one line that says why."""

import json
import re
import shutil
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer

from tinyguardrail.model.build import ModelError, load_guard, save_guard
from tinyguardrail.model.model_files import read_model_files
from tinyguardrail.model.pretrained import pretrained_folder
from tinyguardrail.model.tokenization import GuardTokenizer
from tinyguardrail_common.errors import UserError

TWO_LABELS = {"0": "safe", "1": "threat"}
SWAPPED = {"0": "benign", "1": "jailbreak", "2": "injection", "3": "harm"}
OLDER = {"0": "benign", "1": "direct_injection", "2": "jailbreak", "3": "obfuscation"}  # of labels


@pytest.fixture
def trained(tmp_path, tiny_guard, tiny_tokenizer):
    save_guard(tmp_path, tiny_guard, tiny_tokenizer)
    return tmp_path


@pytest.fixture(params=["trained", "exported"])
def loading(request, tmp_path):
    """A copy of a folder of each kind, and what reads it."""
    if request.param == "trained":
        return request.getfixturevalue("trained"), load_guard
    shutil.copytree(request.getfixturevalue("exported"), tmp_path / "onnx")
    return tmp_path / "onnx", read_model_files


def refused(load, folder, says):
    with pytest.raises(ModelError, match=says) as caught:
        load(folder)
    assert isinstance(caught.value, UserError)
    assert "\n" not in str(caught.value)


def edit_config(folder, **changes):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, **changes}))


def edit_weights(folder, change):
    weights = load_file(folder / "model.safetensors")
    change(weights)
    save_file(weights, folder / "model.safetensors")


def test_a_sound_folder_is_read(loading, tiny_tokenizer):
    folder, _ = loading
    config, tokenizer = read_model_files(folder)
    assert config["vocab_size"] == tokenizer.get_vocab_size() == tiny_tokenizer.get_vocab_size()


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        (
            {"model_type": "bert"},
            r"config\.json: model_type is 'bert', expected 'tinyguardrail'; name a folder",
        ),
        ({"model_type": None}, r"model_type is None, expected 'tinyguardrail'"),
        (
            {"id2label": TWO_LABELS},
            r'id2label is {"0": "safe", "1": "threat"}, expected {"0": "benign", "1": "i',
        ),
        ({"id2label": SWAPPED}, r'"1": "jailbreak".* expected .*"1": "injection"'),
        ({"id2label": OLDER}, r'"3": "obfuscation".* expected .*"3": "harm"'),
        ({"id2label": None}, r"id2label is null, expected"),
        ({"vocab_size": 8000}, r"tokenizer\.json: 67 word pieces, but config\.json has vocab_size = 8000"),
        ({"chars_per_token": "20"}, r"chars_per_token is '20', expected a whole number above 0"),
        ({"max_position_embeddings": 0}, r"max_position_embeddings is 0, expected a whole number above 0"),
        ({"router_threshold": "half"}, r"router_threshold is 'half', expected a number"),
    ],
)
def test_a_configuration_of_something_else_is_refused(loading, changes, says):
    folder, load = loading
    edit_config(folder, **changes)
    refused(load, folder, says)


@pytest.mark.parametrize("content", [b"{", b"\xff\xfe", b""])
def test_a_configuration_that_is_not_json_is_refused(loading, content):
    folder, load = loading
    (folder / "config.json").write_bytes(content)
    refused(load, folder, r"config\.json: not JSON \(.*\); name a folder")


def test_json_that_is_no_object_is_refused(loading):
    folder, load = loading
    (folder / "config.json").write_text("[1, 2]")
    refused(load, folder, r"config\.json: model_type is None")


def test_a_damaged_tokenizer_is_refused(loading):
    folder, load = loading
    path = folder / "tokenizer.json"
    path.write_bytes(path.read_bytes()[:100])
    refused(load, folder, r"tokenizer\.json: damaged \(")


def test_the_tokenizer_of_another_guard_is_refused(loading):
    folder, load = loading
    content = json.loads((folder / "tokenizer.json").read_text())
    del content["model"]["vocab"]["hello"]
    Tokenizer.from_str(json.dumps(content)).save(str(folder / "tokenizer.json"))
    refused(load, folder, r"tokenizer\.json: 66 word pieces, but config\.json has vocab_size = 67")


def test_a_bert_is_no_guard():
    refused(load_guard, pretrained_folder(), r"config\.json: model_type is 'bert', expected 'tinyguardrail'")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda weights: weights.pop("router.scale"), r"missing: router\.scale; .*run dvc repro train -f"),
        (
            lambda weights: [weights.pop(name) for name in list(weights) if name.startswith("fast.layers.")],
            r"missing: fast\.layers\.0\.[\w.]+, fast[\w.]+, fast[\w.]+ and \d+ more",
        ),
        (
            lambda weights: weights.update({"fast.extra.bias": torch.zeros(3)}),
            r"unknown: fast\.extra\.bias;",
        ),
        (
            lambda weights: weights.update({"embeddings.words.weight": torch.zeros(60, 32)}),
            r"shaped otherwise: embeddings\.words\.weight \[60, 32\] != \[67, 32\]",
        ),
        (
            lambda weights: weights["deep.layers.1.norm.weight"].fill_(float("nan")),
            r"deep\.layers\.1\.norm\.weight not finite; run dvc repro train -f",
        ),
        (lambda weights: weights["router.offset"].fill_(float("inf")), r"router\.offset not finite"),
    ],
    ids=["missing", "many-missing", "unknown", "shape", "nan", "infinite-buffer"],
)
def test_weights_that_do_not_fit_are_refused(trained, capfd, change, says):
    edit_weights(trained, change)
    refused(load_guard, trained, rf"{re.escape(str(trained / 'model.safetensors'))}: {says}")
    assert "newly initialized" not in capfd.readouterr().err


def test_weights_cut_short_are_refused(trained):
    path = trained / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-1000])
    refused(load_guard, trained, r"model\.safetensors: damaged \(")


def test_a_tokenizer_without_its_character_settings_is_refused(trained):
    (trained / "tokenizer_config.json").unlink()
    tokenizer = GuardTokenizer.from_pretrained(trained)
    refused(tokenizer, "hello", r"tokenizer_config\.json: no chars_per_token or char_table_size; run dvc")


def test_the_checks_of_the_runtime_need_no_torch():
    check = "sys.exit(bool({'torch', 'transformers'} & {*sys.modules}))"
    code = f"import sys, tinyguardrail.model.model_files; {check}"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
