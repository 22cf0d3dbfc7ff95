"""The committed results are those of the committed code, settings and data.

`dvc.lock` is checked itself: `dvc status` needs every large output at hand and answers with
exit codes that do not tell stale from missing.

A file `full/STALE` says that the results of the full scale are those of an earlier commit, which it
names. Only while it stands, and the README says so too, is that scale held to what its lock wrote alone.
"""

import hashlib
import itertools
import json
import re
import subprocess
from pathlib import Path, PurePosixPath

import pytest
from ruamel.yaml import YAML

ROOT = Path(__file__).parent.parent
UNTRACKED = re.compile(
    r"^(full/)?(data/(raw|splits)|models|\.venv|\.resume|\.dvc)/|(^|/)(__pycache__|\.\w+_cache|[^/]*\.egg-info)/"
)
YAML_READER = YAML(typ="safe", pure=True)
Item = dict[str, object]  # of a matrix: axis -> value; empty for a stage without one


def read(name: str) -> dict:
    return YAML_READER.load((ROOT / name).read_text(encoding="utf-8"))


class Scale:
    """One folder with a pipeline: the root, or `full/`, which runs the root's stages on other settings."""

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self.params = read(f"{folder}params.yaml")
        self.stages = read(f"{folder}dvc.yaml")["stages"]
        self.lock = read(f"{folder}dvc.lock")["stages"]
        self.produced = {
            out["path"]: out["md5"] for stage in self.lock.values() for out in stage.get("outs", [])
        }
        self.expanded: dict[str, tuple[dict, Item]] = {}
        for name, stage in self.stages.items():
            axes = stage.get("matrix", {})  # one stage per seed, family or recipe
            values = [self.setting(each[2:-1]) if isinstance(each, str) else each for each in axes.values()]
            for chosen in itertools.product(*values):
                suffix = f"@{'-'.join(map(str, chosen))}" if axes else ""
                self.expanded[name + suffix] = (stage, dict(zip(axes, chosen, strict=True)))

    def setting(self, key: str) -> object:
        value = self.params
        for part in key.split("."):
            value = value[part]
        return value

    def fill(self, text: str, item: Item) -> str:
        text = re.sub(r"\$\{(?!item)([\w.]+)\}", lambda match: str(self.setting(match[1])), text)
        return re.sub(r"\$\{item\.(\w+)\}", lambda match: str(item[match[1]]), text)

    def names(self, entries: list, item: Item) -> list[str]:
        return [self.fill(next(iter(entry)) if isinstance(entry, dict) else entry, item) for entry in entries]

    def md5_produced(self, path: str) -> str | None:
        """Hash of what stages write there, by the lock."""
        if path in self.produced:
            return self.produced[path]
        parent = PurePosixPath(path)
        inside = {
            PurePosixPath(out).relative_to(parent).as_posix(): found
            for out, found in self.produced.items()
            if parent in PurePosixPath(out).parents
        }
        return folder_md5(inside) if inside else None

    def md5_fetched(self, path: str) -> str | None:
        """Hash of one file of `data/raw`, by the data card: the lock has that of the folder alone."""
        card = json.loads((ROOT / self.folder / "results/data_card.json").read_text(encoding="utf-8"))
        source = card["sources"].get(PurePosixPath(path).stem, {})
        return source.get("parquet_md5") if PurePosixPath(path).parent == PurePosixPath("data/raw") else None


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
    """Hash of a file or folder as git holds it, links followed, or None when git does not hold it."""
    if (ROOT / path).exists():
        path = relative((ROOT / path).resolve())
    if path in TRACKED:
        return md5((ROOT / path).read_bytes())
    inside = {
        name[len(path) + 1 :]: md5((ROOT / name).read_bytes())
        for name in TRACKED
        if name.startswith(f"{path}/")
    }
    return folder_md5(inside) if inside else None


ROOT_SCALE, FULL_SCALE = Scale(""), Scale("full/")
STALE = ROOT / "full/STALE"
FRESH = [ROOT_SCALE] if STALE.is_file() else [ROOT_SCALE, FULL_SCALE]
LOCKED = [pytest.param(scale, name, id=f"{scale.folder}{name}") for scale in FRESH for name in scale.lock]
# A frozen stage is no function of its inputs: it is run by hand, and its outs are what it measured then.
RUN = [case for case in LOCKED if not case.values[0].expanded[case.values[1]][0].get("frozen")]


def test_the_lock_has_an_entry_for_every_stage_and_no_other():
    assert set(ROOT_SCALE.lock) == set(ROOT_SCALE.expanded)
    if FULL_SCALE in FRESH:
        assert {"fetch", "synthesize"} <= set(FULL_SCALE.lock) <= set(FULL_SCALE.expanded)


def test_only_latency_is_frozen():
    assert [name for name, stage in ROOT_SCALE.stages.items() if stage.get("frozen")] == ["latency"]


@pytest.mark.skipif(not STALE.is_file(), reason="the full scale is not stale")
def test_a_stale_full_scale_says_which_commit_it_is_of_here_and_in_the_readme():
    commit = re.findall(r"\b[0-9a-f]{40}\b", STALE.read_text(encoding="utf-8"))
    assert len(commit) == 1, "full/STALE names one commit"
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert "full/STALE" in readme
    assert commit[0][:7] in readme


@pytest.mark.skipif(not STALE.is_file(), reason="the full scale is not stale")
@pytest.mark.parametrize("name", FULL_SCALE.lock)
def test_a_stale_full_scale_still_holds_what_its_stages_wrote(name):
    for out in FULL_SCALE.lock[name]["outs"]:
        found = md5_on_disk(f"full/{out['path']}")
        in_git = out["path"].startswith(("results/", "data/scores/", "paper/"))
        assert found == (out["md5"] if in_git else None), f"{out['path']} is not what {name} wrote"


def test_both_scales_run_the_same_stages_of_the_same_code():
    assert (ROOT / "full/dvc.yaml").read_bytes() == (ROOT / "dvc.yaml").read_bytes()
    shared = (
        "src",
        "stages",
        "data/corpus",
        "requirements-numeric.lock",
        "paper/main.typ",
        "paper/references.bib",
    )
    for name in shared:
        assert (ROOT / "full" / name).is_symlink(), name
        assert (ROOT / "full" / name).resolve() == ROOT / name


@pytest.mark.parametrize(("scale", "name"), LOCKED)
def test_a_stage_is_locked_as_it_is_written(scale, name):
    stage, item = scale.expanded[name]
    locked = scale.lock[name]
    assert locked["cmd"] == scale.fill(stage["cmd"], item)
    assert sorted(dep["path"] for dep in locked["deps"]) == sorted(scale.names(stage["deps"], item))
    assert sorted(out["path"] for out in locked["outs"]) == sorted(scale.names(stage["outs"], item))


@pytest.mark.parametrize(("scale", "name"), RUN)
def test_a_stage_ran_with_the_settings_of_today(scale, name):
    stage, _ = scale.expanded[name]
    if "params" not in stage:
        return
    locked = scale.lock[name]["params"]["params.yaml"]
    assert set(locked) == set(stage["params"])
    for key, value in locked.items():
        today = scale.setting(key)
        assert value == today, f"{name}: {key} changed since the results were made; run dvc repro"


@pytest.mark.parametrize(("scale", "name"), RUN)
def test_a_stage_ran_on_the_inputs_of_today(scale, name):
    for dep in scale.lock[name]["deps"]:
        path = dep["path"]
        found = md5_on_disk(scale.folder + path) or scale.md5_produced(path) or scale.md5_fetched(path)
        assert found == dep["md5"], f"{name}: {path} changed since; run dvc repro"


@pytest.mark.parametrize(("scale", "name"), LOCKED)
def test_what_a_stage_left_in_git_is_what_it_wrote(scale, name):
    stage, item = scale.expanded[name]
    kept = {
        scale.fill(next(iter(out)), item)
        for out in stage["outs"]
        if isinstance(out, dict) and next(iter(out.values())).get("cache") is False
    }
    for out in scale.lock[name]["outs"]:
        found = md5_on_disk(scale.folder + out["path"])
        if out["path"] in kept:
            assert found == out["md5"], f"{out['path']} is not what {name} wrote; run dvc repro"
        else:
            assert found is None, f"{out['path']} belongs in the DVC cache, not in git"


@pytest.mark.parametrize("scale", FRESH, ids=lambda scale: scale.folder or "root")
def test_stages_that_read_one_file_read_the_same_one(scale):
    seen: dict[str, str] = {}
    for name, stage in scale.lock.items():
        if scale.stages[name.partition("@")[0]].get("frozen"):
            continue
        for dep in stage["deps"]:
            assert seen.setdefault(dep["path"], dep["md5"]) == dep["md5"], (
                f"{name}: {dep['path']}; run dvc repro"
            )


def test_a_stale_file_would_be_noticed():
    """The check itself: one changed byte in a folder changes its hash."""
    assert folder_md5({"a.py": md5(b"x")}) != folder_md5({"a.py": md5(b"y")})
    assert folder_md5({"a.py": md5(b"x")}) != folder_md5({"b.py": md5(b"x")})
