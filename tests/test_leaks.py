"""No training row repeats a validation or test row: recomputed from the parquet files by other means.

The join is exact and shares no code with the filter. It is run on the splits of the root scale, made
here from the committed corpus, and, where TINYGUARD_MIRROR is set, on those of `full/` (six minutes).
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from leaks import near_pairs

ROOT = Path(__file__).parent.parent
PAIRS = [("train", "test"), ("train", "validation"), ("validation", "test")]


def make_root_splits(folder: Path) -> Path:
    """Run fetch and synthesize at root scale, apart from the working tree's own data."""
    (folder / "data").mkdir()
    shutil.copy(ROOT / "params.yaml", folder)
    (folder / "data/corpus").symlink_to(ROOT / "data/corpus")
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    for stage in ("fetch", "synthesize"):
        command = [sys.executable, str(ROOT / f"stages/{stage}.py")]
        done = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
    return folder / "data/splits"


@pytest.fixture(scope="module", params=["root", "full"])
def splits(request, tmp_path_factory) -> dict[str, dict[str, list[str]]]:
    if request.param == "root":
        folder = make_root_splits(tmp_path_factory.mktemp("root"))
    else:
        folder = ROOT / "full/data/splits"
        if "TINYGUARD_MIRROR" not in os.environ or not folder.exists():
            pytest.skip("needs TINYGUARD_MIRROR, and full/data/splits made by dvc repro synthesize in full/")
    return {
        split: pq.read_table(folder / f"{split}.parquet").to_pydict()
        for split in ("train", "validation", "test")
    }


def plain(rows: dict[str, list[str]]) -> list[str]:
    return [
        text for text, transform in zip(rows["text"], rows["transform"], strict=True) if transform == "none"
    ]


@pytest.mark.parametrize(("lower", "higher"), PAIRS)
def test_no_text_nearly_repeats_one_of_a_split_with_precedence(splits, lower, higher):
    left, right = plain(splits[lower]), plain(splits[higher])
    pairs = near_pairs(left, right, 0.8)
    assert not pairs, [(left[i][:80], right[j][:80]) for i, j in pairs[:3]]


@pytest.mark.parametrize(("lower", "higher"), PAIRS)
def test_no_row_obfuscated_or_not_is_a_copy_of_one_elsewhere(splits, lower, higher):
    folded = [
        {" ".join(text.casefold().split()) for text in splits[split]["text"]} for split in (lower, higher)
    ]
    assert not folded[0] & folded[1]


def test_an_obfuscation_stands_in_the_split_of_its_text(splits):
    """So what holds for plain texts holds for what their obfuscations hide."""
    homes: dict[str, str] = {}
    for split, rows in splits.items():
        for parent, transform in zip(rows["parent_id"], rows["transform"], strict=True):
            if transform == "none":
                assert homes.setdefault(parent, split) == split, parent
    for split, rows in splits.items():
        for parent in rows["parent_id"]:
            assert homes.get(parent) == split, parent
