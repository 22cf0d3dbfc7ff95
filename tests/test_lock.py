"""The committed results are those of the committed code, settings and data.

`dvc.lock` is checked itself: `dvc status` needs every large output at hand and answers with
exit codes that do not tell stale from missing.
"""

import hashlib
import json
import re
import subprocess
from pathlib import Path, PurePosixPath

import pytest
from ruamel.yaml import YAML

ROOT = Path(__file__).parent.parent
UNTRACKED = re.compile(
    r"^(data/(raw|splits|scores)|models|\.venv|\.resume|\.dvc)/|(^|/)(__pycache__|\.\w+_cache|[^/]*\.egg-info)/"
)
YAML_READER = YAML(typ="safe", pure=True)


def read(name: str) -> dict:
    return YAML_READER.load((ROOT / name).read_text(encoding="utf-8"))


PARAMS = read("params.yaml")
STAGES = read("dvc.yaml")["stages"]
LOCK = read("dvc.lock")["stages"]


def fill(text: str, seed: int | None) -> str:
    return text.replace("${item.seed}", str(seed))


def expanded() -> dict[str, tuple[dict, int | None]]:
    """Stages by the name they have in the lock; a matrix gives one per seed."""
    found: dict[str, tuple[dict, int | None]] = {}
    for name, stage in STAGES.items():
        seeds = PARAMS["seeds"] if "matrix" in stage else [None]
        for seed in seeds:
            found[name if seed is None else f"{name}@{seed}"] = (stage, seed)
    return found


EXPANDED = expanded()


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def tracked_files() -> set[str]:
    """Files that belong to the repository, as git tells, or by their names where there is no git."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        check=False,
    )
    if listed.returncode:  # a checkout without git, as from a ZIP
        return {name for name in map(relative, ROOT.rglob("*")) if not UNTRACKED.search(name)}
    return set(listed.stdout.decode().split("\0"))


TRACKED = {name for name in tracked_files() if name and (ROOT / name).is_file()}


def md5(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


def folder_md5(files: dict[str, str]) -> str:
    """DVC's hash of a folder, from the hashes of its files by relative path."""
    listing = [{"md5": files[name], "relpath": name} for name in sorted(files)]
    return md5(json.dumps(listing, sort_keys=True).encode()) + ".dir"


def md5_on_disk(path: str) -> str | None:
    """Hash of a file or folder as git holds it, or None when git does not hold it."""
    if path in TRACKED:
        return md5((ROOT / path).read_bytes())
    inside = {
        name[len(path) + 1 :]: md5((ROOT / name).read_bytes())
        for name in TRACKED
        if name.startswith(f"{path}/")
    }
    return folder_md5(inside) if inside else None


PRODUCED = {out["path"]: out["md5"] for stage in LOCK.values() for out in stage.get("outs", [])}


def md5_produced(path: str) -> str | None:
    """Hash of what stages write there, by the lock."""
    if path in PRODUCED:
        return PRODUCED[path]
    parent = PurePosixPath(path)
    inside = {
        PurePosixPath(out).relative_to(parent).as_posix(): found
        for out, found in PRODUCED.items()
        if parent in PurePosixPath(out).parents
    }
    return folder_md5(inside) if inside else None


def names(entries: list, seed: int | None) -> list[str]:
    return [fill(next(iter(entry)) if isinstance(entry, dict) else entry, seed) for entry in entries]


def test_the_lock_has_an_entry_for_every_stage_and_no_other():
    assert set(LOCK) == set(EXPANDED)


@pytest.mark.parametrize("name", EXPANDED)
def test_a_stage_is_locked_as_it_is_written(name):
    stage, seed = EXPANDED[name]
    locked = LOCK[name]
    assert locked["cmd"] == fill(stage["cmd"], seed)
    assert sorted(dep["path"] for dep in locked["deps"]) == sorted(names(stage["deps"], seed))
    assert sorted(out["path"] for out in locked["outs"]) == sorted(names(stage["outs"], seed))


@pytest.mark.parametrize("name", EXPANDED)
def test_a_stage_ran_with_the_settings_of_today(name):
    stage, _ = EXPANDED[name]
    if "params" not in stage:
        return
    locked = LOCK[name]["params"]["params.yaml"]
    assert set(locked) == set(stage["params"])
    for key, value in locked.items():
        today = PARAMS
        for part in key.split("."):
            today = today[part]
        assert value == today, f"{name}: {key} changed since the results were made; run dvc repro"


@pytest.mark.parametrize("name", EXPANDED)
def test_a_stage_ran_on_the_inputs_of_today(name):
    for dep in LOCK[name]["deps"]:
        found = md5_on_disk(dep["path"]) or md5_produced(dep["path"])
        assert found == dep["md5"], f"{name}: {dep['path']} changed since; run dvc repro"


@pytest.mark.parametrize("name", EXPANDED)
def test_what_a_stage_left_in_git_is_what_it_wrote(name):
    stage, seed = EXPANDED[name]
    kept = {
        fill(next(iter(out)), seed)
        for out in stage["outs"]
        if isinstance(out, dict) and next(iter(out.values())).get("cache") is False
    }
    for out in LOCK[name]["outs"]:
        found = md5_on_disk(out["path"])
        if out["path"] in kept:
            assert found == out["md5"], f"{out['path']} is not what {name} wrote; run dvc repro"
        else:
            assert found is None, f"{out['path']} belongs in the DVC cache, not in git"


def test_a_stale_file_would_be_noticed():
    """The check itself: one changed byte in a folder changes its hash."""
    assert folder_md5({"a.py": md5(b"x")}) != folder_md5({"a.py": md5(b"y")})
    assert folder_md5({"a.py": md5(b"x")}) != folder_md5({"b.py": md5(b"x")})
