"""A scale's folder with made-up inputs, and what the `figures` stage writes there."""

import json
import shutil
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from synthetic_results import write_results
from tinyguardrail_paper.analysis.evaluate import evaluate
from tinyguardrail_paper.document.report import write_report
from tinyguardrail_paper.settings.params import load_params

ROOT = Path(__file__).parents[1]


def make_scale(folder, **inputs):
    """A scale's folder with inputs and quick settings."""
    write_results(folder, **inputs)
    (folder / "paper").mkdir()
    for name in ("main.typ", "references.bib"):
        shutil.copy(ROOT / "paper" / name, folder / "paper")
    edit_params(folder, ROOT / "params.yaml", ("statistics", "bootstrap_samples", 100))
    if inputs.get("public"):
        edit_params(folder, folder / "params.yaml", ("scale", None, "full"))
    if "seeds" in inputs:
        edit_params(folder, folder / "params.yaml", ("seeds", None, list(inputs["seeds"])))
    return folder


def edit_params(folder, source, change):
    yaml = YAML()
    content = yaml.load(source.read_text(encoding="utf-8"))
    section, key, value = change
    if key is None:
        content[section] = value
    else:
        content[section][key] = value
    with (folder / "params.yaml").open("w", encoding="utf-8") as file:
        yaml.dump(content, file)


def run_stage(folder):
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        params = load_params()
        results = evaluate(params)
        write_report(results, params)
    return results


def outputs(folder):
    """Relative path -> bytes of everything the stage writes."""
    names = ("results/metrics.json", "results/headline.json", "results/run.json")
    files = [folder / name for name in (*names, "paper/numbers.json", "paper/paper.pdf")]
    for name in ("plots", "tables", "figures"):
        files += sorted((folder / "results" / name).iterdir())
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in files}


@pytest.fixture(scope="session")
def scale(tmp_path_factory):
    """Folder, results and outputs of a scale; one for all files of tests, since it takes seconds to make."""
    folder = make_scale(tmp_path_factory.mktemp("scale"), rows=900)
    write_results(folder / "other", seeds=(9,), rows=100)  # left over from a seed no longer asked for
    shutil.copy(folder / "other/data/scores/guard/seed9.parquet", folder / "data/scores/guard")
    results = run_stage(folder)
    return folder, results, outputs(folder)


@pytest.fixture
def metrics(scale):
    return json.loads(scale[2]["results/metrics.json"])
