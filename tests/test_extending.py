"""What it takes to add a family of attacks, a public test set and a stage: a copy of the tree gets each.

How many files and lines that takes is counted by git, and that nothing else was needed is seen by running
what they were added to.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from test_new_family import OCTAL

ROOT = Path(__file__).parent.parent
COPIED = ("src", "stages", "data/corpus", "dvc.yaml", "full/dvc.yaml", "full/params.yaml", ".dvc/config")

LOADER = '''
"""Riddles: a made-up public test set of harmless questions."""

from tinyguardrail.data.labels import BENIGN
from tinyguardrail.sources.reading import rows_of


def riddles(files):
    for file, row in rows_of(files):
        yield file.record(row.text("question"), BENIGN, "riddle")
'''
SOURCE = """
- name: riddles
  title: Riddles
  licence: MIT
  page: https://example.org/riddles
  about: harmless questions
  label_rule: all benign
  loader: riddles
  language: en
  access: open
  kind: classification
  files:
    - name: riddles.csv
      role: test
      url: https://example.org/raw/0123456789012345678901234567890123456789/riddles.csv
      sha256: {sha256}
      bytes: {bytes}
"""
SUITE = '''
"""Riddles, as a test set."""

from tinyguardrail_paper.analysis.metrics.metric import BENIGN
from tinyguardrail_paper.analysis.suites.benchmark import Benchmark

SUITES = (Benchmark("riddles", "Riddles", "riddles", "riddle", BENIGN),)
'''
STAGE = '''
"""Count the words of every split."""

from tinyguardrail_common.files import write_json
from tinyguardrail_paper.experiments.words import count_words
from tinyguardrail_paper.settings.params import Params
from tinyguardrail_paper.settings.paths import SPLITS, WORDS
from tinyguardrail_paper.settings.stage import run_stage


def main(params: Params) -> None:
    write_json(WORDS, count_words(SPLITS))


if __name__ == "__main__":
    run_stage(main, __doc__)
'''
EXPERIMENT = '''
"""How many words a split has."""

from pathlib import Path

from tinyguardrail.data.records import iter_records


def count_words(folder: Path) -> dict[str, int]:
    files = sorted(folder.glob("*.parquet"))
    return {file.stem: sum(len(row.text.split()) for row in iter_records(file)) for file in files}
'''
IN_PIPELINE = """
  words:
    cmd: python stages/words.py
    deps: [stages/words.py, src/tinyguardrail/data, src/tinyguardrail_paper/experiments/words.py, data/splits]
    outs:
      - results/words.json: {cache: false}

artifacts:"""
RIDDLES = "question\n" + "".join(f"What has {n} keys but opens no lock at all?\n" for n in range(20, 60))
USES = """
import numpy as np
from tinyguardrail.data.labels import INTENTS
from tinyguardrail.data.records import read_records
from tinyguardrail_paper.analysis.scores import Scores
from tinyguardrail_paper.analysis.suites import build_suites
from tinyguardrail_paper.settings.paths import SPLITS

rows = read_records(SPLITS / "test.parquet")
columns = {name: np.array([getattr(row, name) for row in rows]) for name in rows[0]._fields if name != "text"}
intent = np.array([INTENTS.index(row.intent) for row in rows])
even = np.full((1, len(rows), len(INTENTS)), 1 / len(INTENTS))
scores = Scores((0,), columns, intent, even, even, even[..., 0])
suites = {suite.name: suite for suite in build_suites(scores)}
print(len(suites["riddles"].rows), *suites["riddles"].metrics)
print(len(suites["octal"].rows), *suites["octal"].metrics)
"""


def run(folder: Path, *command: str, **environment: str) -> str:
    own = os.environ | {"PYTHONPATH": str(folder / "src")} | environment
    done = subprocess.run(command, cwd=folder, env=own, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.fail(f"{' '.join(command)}\n{done.stdout[-2000:]}\n{done.stderr[-3000:]}")
    return done.stdout


def edit(path: Path, *changes: tuple[str, str]) -> None:
    text = path.read_text(encoding="utf-8")
    for before, after in changes:
        assert before in text, (path, before)
        text = text.replace(before, after, 1)
    path.write_text(text, encoding="utf-8")


def append(path: Path, text: str) -> None:
    old = path.read_text(encoding="utf-8") if path.exists() else ""
    path.write_text(old + text.lstrip("\n"), encoding="utf-8")


def add_family(folder: Path) -> None:
    append(folder / "src/tinyguardrail/attacks/octal.py", OCTAL)
    rows = ("  composition: ", "  octal: 4\n  composition: ")
    held_out = ("    - composition\n", "    - composition\n    - octal\n")
    for scale in (".", "full"):
        edit(folder / scale / "params.yaml", rows, held_out)


def add_source(folder: Path) -> None:
    content = RIDDLES.encode()
    (folder / "mirror").mkdir()
    (folder / "mirror/riddles.csv").write_bytes(content)
    known = {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
    append(folder / "src/tinyguardrail/sources/sources.yaml", "\n" + SOURCE.format(**known))
    append(folder / "src/tinyguardrail/sources/loaders/riddles.py", LOADER)
    append(folder / "src/tinyguardrail_paper/analysis/suites/riddles.py", SUITE)
    edit(folder / "params.yaml", ("  - code\n", "  - code\n  - riddles\n"))


def add_stage(folder: Path) -> None:
    append(folder / "stages/words.py", STAGE)
    append(folder / "src/tinyguardrail_paper/experiments/words.py", EXPERIMENT)
    path = ("\nRUN = ", '\nWORDS = RESULTS / "words.json"\nRUN = ')
    edit(folder / "src/tinyguardrail_paper/settings/paths.py", path)
    for scale in (".", "full"):
        edit(folder / scale / "dvc.yaml", ("\nartifacts:", IN_PIPELINE))


@pytest.fixture(scope="module")
def extended(tmp_path_factory) -> tuple[Path, dict[str, list[str]]]:
    """A copy of the tree at smoke scale with one of each added, and the files that each changed."""
    folder, changed = tmp_path_factory.mktemp("extended"), {}
    for name in COPIED:
        source, target = ROOT / name, folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree(source, target) if source.is_dir() else shutil.copy(source, target)
    shutil.copy(ROOT / "tests/smoke/params.yaml", folder / "params.yaml")
    (folder / "requirements-numeric.lock").touch()
    (folder / ".git/info").mkdir(parents=True)
    run(folder, "git", "init", "--quiet")
    append(folder / ".git/info/exclude", "/mirror\n")
    steps = {"nothing": lambda _: None, "family": add_family, "source": add_source, "stage": add_stage}
    for name, add in steps.items():
        add(folder)
        run(folder, "git", "add", "--all")
        changed[name] = run(folder, "git", "diff", "--cached", "--numstat").splitlines()
        identity = ("-c", "user.name=t", "-c", "user.email=t@example.org")
        run(folder, "git", *identity, "commit", "--quiet", "--allow-empty", "-m", name)
    for stage in ("fetch", "synthesize"):
        run(folder, sys.executable, f"stages/{stage}.py", TINYGUARD_MIRROR=str(folder / "mirror"))
    return folder, changed


@pytest.mark.parametrize(("name", "files", "lines"), [("family", 3, 40), ("source", 4, 40), ("stage", 5, 50)])
def test_it_takes_few_files_and_lines(extended, name, files, lines):
    counts = [line.split("\t") for line in extended[1][name]]
    assert len(counts) == files, counts
    assert sum(int(added) for added, _, _ in counts) <= lines, counts
    assert all(removed == "0" for _, removed, _ in counts), counts


def test_rows_of_the_family_and_of_the_source_reach_the_splits(extended):
    card = json.loads((extended[0] / "results/data_card.json").read_text(encoding="utf-8"))
    assert card["by_family"]["octal"] > 0
    assert card["by_source_and_split"]["riddles"]["test"] == len(RIDDLES.splitlines()) - 1


def test_both_are_test_sets_of_the_analysis(extended):
    riddles, octal = run(extended[0], sys.executable, "-c", USES).splitlines()
    assert riddles.split() == ["40", "false_positive_rate"]
    assert {"recall", "auc"} <= set(octal.split())


def test_the_stage_runs_in_the_pipeline_and_is_held_to_its_deps(extended):
    folder = extended[0]
    run(folder, "dvc", "repro", "--single-item", "words")
    assert json.loads((folder / "results/words.json").read_text(encoding="utf-8"))["test"] > 0
    (folder / "tests").mkdir()
    shutil.copy(ROOT / "tests/test_stage_deps.py", folder / "tests")
    told = run(folder, sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests", "-k", "words")
    assert " passed" in told
