"""The `figures` stage on made-up inputs: what it refuses to write."""

import json
import shutil
import subprocess
import sys

import pytest

from reporting_scale import ROOT, edit_params, run_stage
from tinyguardrail_paper.document.report import CollapseError
from tinyguardrail_paper.scores.inputs import InputError


@pytest.fixture
def copy_of_inputs(scale, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(scale[0], folder)
    for name in ("metrics.json", "headline.json", "plots", "tables", "figures"):
        path = folder / "results" / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    return folder


@pytest.mark.parametrize(
    ("name", "stage"),
    [
        ("data/scores/guard/seed1.parquet", "benchmark"),
        ("data/scores/var/seed2.parquet", "var_eval"),
        ("results/export/seed0.json", "export"),
        ("data/scores/evasion/seed1.parquet", "evasion"),
        ("results/evasion/seed0.json", "evasion"),
        ("data/scores/leave_one_out/none.parquet", "leave_one_out"),
        ("data/scores/leave_one_out/encoding.parquet", "leave_one_out"),
        ("data/scores/ablation/seed0/adversarial.parquet", "ablate"),
        ("results/training/seed2.csv", "train"),
        ("results/var/seed1.json", "var_eval"),
        ("results/var_ablate/seed0/entropy.json", "var_ablate"),
        ("results/var_search.json", "var_search"),
        ("results/data_card.json", "synthesize"),
    ],
)
def test_a_missing_input_is_named_and_nothing_is_written(copy_of_inputs, name, stage):
    (copy_of_inputs / name).unlink()
    with pytest.raises(InputError) as caught:
        run_stage(copy_of_inputs)
    assert str(caught.value) == f"{name} is missing; run: dvc repro {stage}"
    assert not (copy_of_inputs / "results/metrics.json").exists()


def test_the_stage_ends_with_one_line(copy_of_inputs):
    (copy_of_inputs / "data/scores/guard/seed1.parquet").unlink()
    script = [sys.executable, ROOT / "stages/figures.py"]
    ended = subprocess.run(script, cwd=copy_of_inputs, capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert ended.stderr == "error: data/scores/guard/seed1.parquet is missing; run: dvc repro benchmark\n"


@pytest.mark.parametrize("lost", ["int8_against_fp32", "verdict_agreement"])
def test_an_export_report_without_the_int8_comparison_is_named(copy_of_inputs, lost):
    path = copy_of_inputs / "results/export/seed1.json"
    report = json.loads(path.read_text())
    (report if lost in report else report["int8_against_fp32"]).pop(lost)
    path.write_text(json.dumps(report))
    with pytest.raises(
        InputError, match=r"seed1\.json: no int8_against_fp32\.\w+; run: dvc repro --force export"
    ):
        run_stage(copy_of_inputs)


def test_a_collapsed_router_stops_the_stage_and_is_on_record(copy_of_inputs):
    edit_params(copy_of_inputs, copy_of_inputs / "params.yaml", ("router", "threshold", 0.0))
    with pytest.raises(CollapseError, match="seed 0 sends 100% of validation rows"):
        run_stage(copy_of_inputs)
    metrics = json.loads((copy_of_inputs / "results/metrics.json").read_text())
    assert metrics["guard"]["router"]["collapsed"] is True
    assert not (copy_of_inputs / "results/figures").exists()
    assert not (copy_of_inputs / "results/headline.json").exists()
