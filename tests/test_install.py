"""Each system does with what its part of the installation brings: `pip install .` and `'.[var]'`."""

import subprocess
import sys

import pytest

# Imports as if the packages named on the command line were not installed.
WITHOUT = """
import sys

missing = sys.argv[1:]

class Without:
    def __init__(self, finder):
        self.finder = finder

    def find_spec(self, name, path=None, target=None):
        return None if name.partition(".")[0] in missing else self.finder.find_spec(name, path, target)

    def __getattr__(self, name):
        return getattr(self.finder, name)

sys.meta_path[:] = map(Without, sys.meta_path)
"""
RESEARCH = ("datasets", "datasketch", "dvc", "matplotlib", "onnx", "optuna", "pandas", "sklearn", "typst")
VAR = ("torch", "transformers", "safetensors", "pyarrow", "scipy")


def run(code, missing):
    command = [sys.executable, "-c", WITHOUT + code, *missing]
    return subprocess.run(command, capture_output=True, text=True)


@pytest.mark.parametrize(
    ("code", "missing"),
    [
        ("import tinyguardrail.runtime.guard, tinyguardrail.cli", (*RESEARCH, *VAR, "ruamel")),
        (
            "import var_moe\nfor name in var_moe.__all__: getattr(var_moe, name)",
            (*RESEARCH, "onnxruntime", "ruamel"),
        ),
    ],
    ids=["guard", "var"],
)
def test_what_a_user_imports_needs_no_more_than_its_extra(code, missing):
    done = run(code, missing)
    assert done.returncode == 0, done.stderr


def test_a_package_named_as_missing_is_missing():
    code = """
for name in missing:
    try:
        __import__(name)
    except ModuleNotFoundError:
        continue
    sys.exit(name)
"""
    assert run(code, (*RESEARCH, *VAR)).returncode == 0


@pytest.mark.parametrize("missing", ["torch", "pyarrow"])
def test_a_var_command_says_what_to_install(missing):
    code = """
sys.argv = ["var", "collect", "text.txt", "statistics", "--model", "model"]
import var_moe.cli
var_moe.cli.var()
"""
    done = run(code, (missing,))
    assert done.returncode == 1
    assert done.stderr == (
        f"error: {missing} is not installed: pip install 'tinyguardrail[var]', from a checkout '.[var]'\n"
    )
