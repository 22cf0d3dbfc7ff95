"""A VAR stage depends on the modules it imports, and on no other module of `var_moe`.

Too few and a change of code leaves stale results; too many and a change of how something is
measured trains every reference model again.
"""

import ast
from pathlib import Path

import pytest
from ruamel.yaml import YAML

ROOT = Path(__file__).parent.parent
STAGES = YAML(typ="safe", pure=True).load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
VAR_STAGES = sorted(name for name in STAGES if name.startswith("var_"))
# Read by every stage and without a say in its results: settings are tracked one by one.
PLUMBING = {"errors", "files", "params", "paths", "progress", "spread", "stage"}


def module_file(name: str) -> Path | None:
    path = ROOT / "src" / Path(*name.split("."))
    return next((each for each in (path.with_suffix(".py"), path / "__init__.py") if each.is_file()), None)


def imported_modules(path: Path) -> set[str]:
    """Modules of this repository that a file imports, those named in `from package import module` too."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return {
        name for name in found if name.split(".")[0] in ("var_moe", "tinyguardrail") and module_file(name)
    }


def closure(script: Path) -> set[Path]:
    """Files that running a script imports, plumbing and empty packages left out."""
    files, waiting = set(), imported_modules(script) | {"var_moe"}
    seen = set()
    while waiting:
        name = waiting.pop()
        package, _, rest = name.partition(".")
        if name in seen or (package == "tinyguardrail" and rest in PLUMBING):
            continue
        seen.add(name)
        path = module_file(name)
        inner = imported_modules(path)
        waiting |= inner
        if path.name != "__init__.py" or inner:
            files.add(path.relative_to(ROOT))
    return files


@pytest.mark.parametrize("name", VAR_STAGES)
def test_a_stage_depends_on_what_it_imports(name):
    deps = {Path(dep) for dep in STAGES[name]["deps"]}
    needed = {path for path in closure(ROOT / f"stages/{name}.py")}
    uncovered = {path for path in needed if not ({path, *path.parents} & deps)}
    assert not uncovered, f"{name}: imports without a dep: {sorted(map(str, uncovered))}"
    unused = {dep for dep in deps if dep.parts[:2] == ("src", "var_moe")} - needed
    assert not unused, f"{name}: deps that it does not import: {sorted(map(str, unused))}"


def test_evaluation_code_is_no_dependency_of_training():
    deps = set(STAGES["var_train"]["deps"])
    assert "src/var_moe" not in deps
    assert not deps & {"src/var_moe/evaluation.py", "src/var_moe/report.py", "src/var_moe/wrapper.py"}
