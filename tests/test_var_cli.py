"""The `var` commands: one JSON line, exit code 1 and one line of error where it does not hold."""

import json
import subprocess
import sys

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from typer.testing import CliRunner

from tinyguardrail.cli import app
from var_model import VOCAB, tiny_model, tiny_table, token_ids
from var_moe.routing.table import RoutingTable
from var_moe.routing.wrapper import VARMixtralWrapper


def run(*arguments):
    return CliRunner().invoke(app, ["var", *map(str, arguments)])


@pytest.fixture
def logged(tmp_path):
    model = tiny_model()
    table = tiny_table(model)
    table.save(tmp_path / "table.safetensors")
    with (
        VARMixtralWrapper(model, table, log_path=tmp_path / "routing.log") as wrapper,
        torch.inference_mode(),
    ):
        wrapper(input_ids=token_ids(4))
    return tmp_path


@pytest.fixture
def saved(tmp_path):
    """A model with a tokenizer of one-word tokens, and a text."""
    tiny_model().save_pretrained(tmp_path / "model")
    tokenizer = Tokenizer(models.WordLevel({f"w{n}": n for n in range(VOCAB)}, unk_token="w0"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.save(str(tmp_path / "model" / "tokenizer.json"))
    for name, seed in {"text.txt": 1, "held_out.txt": 2}.items():
        words = " ".join(f"w{token}" for token in token_ids(40, seed=seed).flatten().tolist())
        (tmp_path / name).write_text(words, encoding="utf-8")
    return tmp_path


def test_a_log_that_follows_from_its_table(logged):
    done = run("verify", logged / "routing.log", logged / "table.safetensors")
    assert done.exit_code == 0
    found = json.loads(done.stdout)
    assert found["follows"]
    assert found["tokens"] == 48
    head = (logged / "routing.log").read_text().splitlines()[-1][:64]
    assert found["head"] == head
    assert run("verify", logged / "routing.log", logged / "table.safetensors", "--head", head).exit_code == 0


@pytest.mark.parametrize("damaged", ["routing.log", "table.safetensors"])
def test_a_flipped_bit_is_exit_code_one(logged, damaged):
    content = bytearray((logged / damaged).read_bytes())
    content[len(content) // 2] ^= 1
    (logged / damaged).write_bytes(content)
    done = run("verify", logged / "routing.log", logged / "table.safetensors")
    assert done.exit_code == 1
    assert done.stderr.startswith("error: ")
    assert damaged in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_missing_file_is_one_line(logged):
    assert "is missing" in run("verify", logged / "none.log", logged / "table.safetensors").stderr
    assert "is missing" in run("verify", logged / "routing.log", logged / "none.safetensors").stderr


def test_from_a_text_to_a_table(saved):
    """Both ways of setting thresholds; the model is loaded by path."""
    model, stats = saved / "model", saved / "routing_stats.parquet"
    done = run("collect", saved / "text.txt", stats, "--model", model, "--length", 12)
    assert done.exit_code == 0, done.stderr
    assert json.loads(done.stdout)["tokens"] == 480
    held_out = ("--held-out", saved / "held_out.txt", "--model", model, "--length", 12)
    for options in ((), held_out):
        done = run("build", stats, saved / "table.safetensors", "--preset", "aggressive", *options)
        assert done.exit_code == 0, done.stderr
        table = RoutingTable.load(saved / "table.safetensors")
        assert table.config.preset == "aggressive"
        assert table.sha256() == json.loads(done.stdout)["table_sha256"]
        wrapper = VARMixtralWrapper(tiny_model(), table)
        wrapper.disable_var()


def test_text_of_another_tokenizer_is_refused(saved):
    model, stats = saved / "model", saved / "routing_stats.parquet"
    run("collect", saved / "text.txt", stats, "--model", model, "--length", 12)
    other = Tokenizer.from_file(str(model / "tokenizer.json"))
    other.pre_tokenizer = pre_tokenizers.Whitespace()
    other.save(str(model / "tokenizer.json"))
    done = run("build", stats, saved / "t", "--held-out", saved / "held_out.txt", "--model", model)
    assert done.exit_code == 1
    assert "collect them again" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("collect", "empty.txt", "s", "--model", "model"), "0 tokens do not fill one sequence of 256"),
        (("collect", "none.txt", "s", "--model", "model"), "cannot be read"),
        (
            ("collect", "text.txt", "s", "--model", "model", "--length", "65"),
            "exceed the model's 64 positions",
        ),
        (("collect", "text.txt", "s", "--model", "."), "no tokenizer can be loaded"),
        (("build", "none.parquet", "t"), "is missing"),
        (("build", "text.txt", "t"), "not a readable parquet file"),
        (("build", "text.txt", "t", "--preset", "bold"), "none of conservative"),
    ],
)
def test_bad_input_is_one_line(saved, arguments, message, monkeypatch):
    monkeypatch.chdir(saved)
    (saved / "empty.txt").write_text("")
    done = run(*arguments)
    assert done.exit_code == 1
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (saved / "s").exists()
    assert not (saved / "t").exists()


def test_the_guards_commands_do_not_load_torch():
    code = "import sys, tinyguardrail.cli; print('torch' in sys.modules, 'transformers' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]
