"""The README's numbers are those of the committed results."""

import csv
import json
from pathlib import Path

ROOT = Path(__file__).parent.parent


def headline() -> str:
    """The table of targets as the README shows it."""
    with (ROOT / "results/tables/targets.csv").open(encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file)
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def test_the_headline_table_is_the_committed_one():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert headline() in text, f"paste this into README.md:\n{headline()}"


def test_the_scale_stands_above_the_headline_table():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    banner = json.loads((ROOT / "paper/numbers.json").read_text(encoding="utf-8"))["banner"]
    assert banner in text
    assert text.index(banner) < text.index(headline())
