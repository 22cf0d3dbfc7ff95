"""A stage depends on the code that it imports, all of it and nothing else.

Too few deps and a change of code leaves stale results; too many and a change of how something is
reported trains every model again.
"""

import ast
import re
from functools import cache
from pathlib import Path

import pytest
from ruamel.yaml import YAML

ROOT = Path(__file__).parent.parent
SRC = ROOT / "src"
PACKAGES = {path.name for path in SRC.iterdir() if (path / "__init__.py").is_file()}
STAGES = YAML(typ="safe", pure=True).load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
# Read by stages and without a say in what they write: messages, progress bars, whole files, paths. Settings
# are tracked one by one, as params.
PLUMBING = {
    SRC / name
    for name in (
        *(f"{package}/__init__.py" for package in PACKAGES),
        "tinyguardrail_common/discovery.py",
        "tinyguardrail_common/errors.py",
        "tinyguardrail_common/files.py",
        "tinyguardrail_common/param_types.py",
        "tinyguardrail_common/progress.py",
    )
} | set((SRC / "tinyguardrail_paper/settings").glob("*.py"))
PARAMS = {path for path in SRC.rglob("params.py")}


def module_file(name: str) -> Path | None:
    path = SRC.joinpath(*name.split("."))
    return next((each for each in (path.with_suffix(".py"), path / "__init__.py") if each.is_file()), None)


@cache
def imported_files(path: Path) -> frozenset[Path]:
    """Files of this repository that a file imports: modules, and the packages that they lie in.

    A package that looks its modules up imports all of them.
    """
    source, names = path.read_text(encoding="utf-8"), set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    own = {name for name in names if name.split(".")[0] in PACKAGES}
    parents = {name.rpartition(".")[0] for name in own if "." in name}
    found = {module_file(name) for name in own | parents} - {None}
    looked_up = re.search(r"\b(iter_modules|members)\(", source) and path.name in (
        "__init__.py",
        "registry.py",
    )
    return frozenset(found | (set(path.parent.glob("*.py")) if looked_up else set()))


def closure(script: Path) -> set[Path]:
    """Files that running a script imports, without plumbing, settings and empty packages."""
    seen: set[Path] = set()
    waiting = {script}
    while waiting:
        path = waiting.pop()
        if path in seen or path in PLUMBING:
            continue
        seen.add(path)
        waiting |= imported_files(path)
    return {path for path in seen - {script} - PARAMS if path.read_text(encoding="utf-8").strip()}


def code_deps(name: str) -> list[str]:
    return [dep for dep in STAGES[name]["deps"] if dep.startswith(("src/", "stages/"))]


def uncovered(name: str, deps: list[str]) -> set[str]:
    """Files that a stage imports and that none of the deps holds."""
    script = ROOT / f"stages/{name}.py"
    covered = {ROOT / dep for dep in deps}
    return {
        path.relative_to(ROOT).as_posix()
        for path in closure(script) | {script}
        if not covered & {path, *path.parents}
    }


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_depends_on_all_code_that_it_imports(name):
    missing = uncovered(name, code_deps(name))
    assert not missing, f"dvc.yaml, {name}: no dep holds {sorted(missing)}"


@pytest.mark.parametrize(("name", "dep"), [(name, dep) for name in STAGES for dep in code_deps(name)])
def test_no_dep_of_code_can_be_taken_out(name, dep):
    others = [each for each in code_deps(name) if each != dep]
    assert uncovered(name, others), f"dvc.yaml, {name}: it imports nothing from {dep}"


def test_what_is_reported_is_no_dep_of_what_trains():
    for name in ("train", "leave_one_out", "ablate", "var_train"):
        rooms = [f"src/tinyguardrail_paper/{room}" for room in ("analysis", "tables", "figures", "document")]
        assert not set(rooms) & set(code_deps(name))


def test_a_composition_does_not_fetch_again():
    assert "src/tinyguardrail/synthesis" not in STAGES["fetch"]["deps"]
    assert not closure(ROOT / "stages/fetch.py") & set((SRC / "tinyguardrail/synthesis").glob("*.py"))
