"""`make repro`: stages side by side, in an order that their deps allow."""

import subprocess
import sys
import time

import pytest

from tinyguardrail_paper.pipeline import StageError, run_side_by_side, stages_to_run

DIAMOND = {"fetch": set(), "left": {"fetch"}, "right": {"fetch"}, "paper": {"left", "right"}}


def sleeping(seconds: float, log: list[str], failing: str = ""):
    """A stage that takes so long; `log` gets its name when it starts."""

    def start(name: str) -> subprocess.Popen:
        log.append(name)
        code = f"import sys, time; time.sleep({seconds}); sys.exit({int(name == failing)})"
        return subprocess.Popen([sys.executable, "-c", code])

    return start


def test_a_stage_starts_after_all_that_it_waits_for():
    log: list[str] = []
    seconds = run_side_by_side(DIAMOND, sleeping(0.01, log), jobs=2)
    assert log[0] == "fetch"
    assert log[-1] == "paper"
    assert set(seconds) == set(DIAMOND)


def test_stages_that_need_nothing_of_one_another_run_side_by_side():
    log: list[str] = []
    began = time.monotonic()
    seconds = run_side_by_side({"left": set(), "right": set()}, sleeping(1.0, log), jobs=2)
    assert time.monotonic() - began < sum(seconds.values())


def test_the_longest_chain_goes_first():
    log: list[str] = []
    waits = {"alone": set(), "train": set(), "export": {"train"}, "score": {"export"}}
    run_side_by_side(waits, sleeping(0.01, log), jobs=1)
    assert log.index("train") < log.index("alone")


def test_after_a_failure_nothing_else_starts():
    log: list[str] = []
    with pytest.raises(StageError, match="stage left failed"):
        run_side_by_side(DIAMOND, sleeping(0.01, log, failing="left"), jobs=1)
    assert "paper" not in log


@pytest.fixture
def pipeline(tmp_path, monkeypatch):
    """A DVC project that ran once, `a` before `b`, `c` alone; one in a folder below never ran."""
    stages = {"a": ("touch a", []), "b": ("cp a b", ["a"]), "c": ("touch c", [])}
    text = "stages:\n" + "".join(
        f"  {name}:\n    cmd: {cmd}\n    deps: {deps}\n    outs: [{name}]\n"
        for name, (cmd, deps) in stages.items()
    )
    (tmp_path / "dvc.yaml").write_text(text)
    below = tmp_path / "below"
    below.mkdir()
    for command in (["git", "init", "-q"], ["dvc", "init", "-q"], ["dvc", "repro", "-q"]):
        subprocess.run(command, cwd=tmp_path, check=True)
    (below / "dvc.yaml").write_text(text)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_where_nothing_changed_nothing_is_to_run(pipeline):
    assert stages_to_run() == {}


def test_by_force_every_stage_of_this_folder_runs(pipeline):
    assert stages_to_run(force=True) == {"a": set(), "b": {"a"}, "c": set()}


def test_a_changed_stage_takes_those_behind_it_along(pipeline):
    text = (pipeline / "dvc.yaml").read_text()
    (pipeline / "dvc.yaml").write_text(text.replace("touch a", "echo 1 > a"))
    assert stages_to_run() == {"a": set(), "b": {"a"}}
