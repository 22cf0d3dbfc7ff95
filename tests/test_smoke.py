"""The whole pipeline, really run: in a clone of its own, with real processes killed."""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
from ruamel.yaml import YAML

ROOT = Path(__file__).parent.parent
TEXTS_PER_SECTION = 3
ROUTING = "guard.deep_share"


def run(clone: Path, *command: str, check: bool = True) -> subprocess.CompletedProcess:
    environment = os.environ | {
        "PYTHONPATH": str(clone / "src"),
        "GIT_AUTHOR_NAME": "t",
        "GIT_AUTHOR_EMAIL": "t@example.org",
        "GIT_COMMITTER_NAME": "t",
        "GIT_COMMITTER_EMAIL": "t@example.org",
    }
    done = subprocess.run(command, cwd=clone, env=environment, capture_output=True, text=True, check=False)
    if check and done.returncode:
        pytest.fail(f"{' '.join(command)}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}")
    return done


def small_corpus(folder: Path) -> None:
    """Keep the first texts of every section, so that all kinds and languages stay."""
    yaml = YAML()
    for path in sorted(folder.glob("*.yaml")):
        sections = yaml.load(path.read_text(encoding="utf-8"))
        for section in sections:
            section["texts"] = section["texts"][:TEXTS_PER_SECTION]
        with path.open("w", encoding="utf-8") as file:
            yaml.dump(sections, file)


def digests(*folders: Path) -> dict[str, str]:
    files = [file for folder in folders for file in sorted(folder.rglob("*")) if file.is_file()]
    return {str(file): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


@pytest.fixture(scope="module")
def clone(tmp_path_factory) -> Path:
    """A copy of the working tree at smoke scale, with a history of its own and every stage run."""
    folder = tmp_path_factory.mktemp("smoke") / "clone"
    skipped = (
        ".git",
        ".venv",
        ".resume",
        "models",
        "results",
        "dvc.lock",
        "dvc_plots",
        "config.local",
        "cache",
        "tmp",
        "build",
        "full",
    )
    shutil.copytree(ROOT, folder, ignore=shutil.ignore_patterns(*skipped, "__pycache__", "*.egg-info"))
    for generated in ("data/raw", "data/splits", "data/scores"):
        shutil.rmtree(folder / generated, ignore_errors=True)
    shutil.copy(ROOT / "tests/smoke/params.yaml", folder / "params.yaml")
    small_corpus(folder / "data/corpus")
    run(folder, "git", "init", "--quiet")
    stages = (folder / "dvc.yaml").read_text(encoding="utf-8")
    thawed = stages.replace("frozen: true", "frozen: false")  # there are no committed timings to go by
    (folder / "dvc.yaml").write_text(thawed, encoding="utf-8")
    run(folder, "python", "-m", "tinyguardrail_paper.pipeline")
    (folder / "dvc.yaml").write_text(stages, encoding="utf-8")
    run(folder, "git", "add", "--all")
    run(folder, "git", "commit", "--quiet", "-m", "smoke")
    return folder


def test_every_promised_result_is_there(clone):
    for name in (
        "results/metrics.json",
        "results/headline.json",
        "results/data_card.json",
        "results/run.json",
        "results/training/seed1.csv",
        "data/scores/baselines/seed1.parquet",
        "results/baselines/seed1.json",
        "results/evasion/seed1.json",
        "results/export/seed1.json",
        "results/var/seed1.json",
        "results/var_ablate/seed0/late_ratio_skip.json",
        "results/var_search.json",
        "results/tables/leave_one_out.csv",
        "results/tables/main.csv",
        "results/tables/rivals.csv",
        "results/tables/ablation.csv",
        "results/latency/guard_seed1.json",
        "results/latency/var_seed1.json",
        "results/latency/var_search.json",
        "paper/numbers.json",
    ):
        assert (clone / name).stat().st_size > 10, name
    assert (clone / "paper/paper.pdf").read_bytes().startswith(b"%PDF")
    assert list((clone / "results/tables").iterdir())
    assert list((clone / "results/figures").iterdir())
    metrics = json.loads((clone / "results/metrics.json").read_text())
    assert metrics["guard"]["plain"]["auc"]["seeds"] == [0, 1]
    assert 0 < metrics["guard"]["router"]["deep_share_validation"]["mean"] < 1


def test_a_second_repro_does_nothing(clone):
    before = digests(clone / "results", clone / "paper")
    output = run(clone, "dvc", "repro").stdout
    assert "Running stage" not in output
    assert digests(clone / "results", clone / "paper") == before
    assert run(clone, "git", "status", "--porcelain").stdout == ""


def test_a_threshold_experiment_runs_no_training_and_shows_in_the_metrics(clone):
    output = run(clone, "dvc", "exp", "run", "-S", "router.threshold=0.4").stdout
    started = [line for line in output.splitlines() if "Running stage" in line]
    assert started == ["Running stage 'figures':"]
    difference = run(clone, "dvc", "metrics", "diff").stdout
    assert ROUTING in difference
    run(clone, "git", "checkout", "--quiet", ".")
    run(clone, "dvc", "checkout", "--quiet")


def test_another_preset_trains_no_reference_model(clone):
    output = run(clone, "dvc", "exp", "run", "-S", "var.preset=aggressive").stdout
    started = {line.split("'")[1].split("@")[0] for line in output.splitlines() if "Running stage" in line}
    assert started == {"var_eval", "figures"}
    assert json.loads((clone / "results/var/seed0.json").read_text())["preset"] == "aggressive"
    run(clone, "git", "checkout", "--quiet", ".")
    run(clone, "dvc", "checkout", "--quiet")


def test_the_plots_and_metrics_print(clone):
    assert ROUTING in run(clone, "dvc", "metrics", "show").stdout
    assert "file://" in run(clone, "dvc", "plots", "show").stdout


@pytest.mark.parametrize("key", ["router.treshold", "train.epochs"])
def test_a_wrong_setting_stops_with_one_line(clone, key):
    path = clone / "params.yaml"
    good = path.read_text(encoding="utf-8")
    bad = {
        "router.treshold": good.replace("\n  threshold:", "\n  treshold:"),
        "train.epochs": good.replace("epochs: 1", "epochs: many"),
    }
    path.write_text(bad[key], encoding="utf-8")
    try:
        done = run(clone, "python", "stages/figures.py", check=False)
        assert done.returncode == 1
        assert done.stderr.count("\n") == 1
        assert f"params.yaml: {key}" in done.stderr
    finally:
        path.write_text(good, encoding="utf-8")


def test_a_killed_training_leaves_no_half_file_and_resumes_to_the_same_result(clone):
    model, log = clone / "models/guard/seed0", clone / "results/training/seed0.csv"
    before = digests(model, log.parent)
    environment = os.environ | {"PYTHONPATH": str(clone / "src")}
    process = subprocess.Popen(
        ["dvc", "repro", "--force", "--single-item", "train@0"],
        cwd=clone,
        env=environment,
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 60
    while not list((clone / ".resume").glob("*/state.safetensors")):
        assert time.monotonic() < deadline, "training wrote no resume state"
        assert process.poll() is None, "training ended before it could be killed"
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert not model.exists() or not list(model.iterdir())
    run(clone, "dvc", "repro")
    assert digests(model, log.parent) == before
    assert run(clone, "git", "status", "--porcelain", "--", "results/metrics.json", "dvc.lock").stdout == ""
    assert not list((clone / ".resume").glob("*/state.safetensors"))
