"""The README's numbers are those of the committed results."""

import csv
import json
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def headline(scale: Path) -> str:
    """The table of targets as the README shows it."""
    with (scale / "results/tables/targets.csv").open(encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file)
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


@pytest.mark.parametrize("folder", [".", "full"])
def test_the_headline_table_is_the_committed_one(folder):
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    table = headline(ROOT / folder)
    assert table in text, f"paste this into README.md:\n{table}"


@pytest.mark.parametrize("folder", [".", "full"])
def test_the_scale_stands_above_the_headline_table(folder):
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    banner = json.loads((ROOT / folder / "paper/numbers.json").read_text(encoding="utf-8"))["banner"]
    assert banner in text
    assert text.index(banner) < text.index(headline(ROOT / folder))
