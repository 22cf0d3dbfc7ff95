"""NotInject (2410.22770): benign prompts with one, two or three trigger words."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from tinyguardrail.data.labels import BENIGN
from tinyguardrail.data.records import Record
from tinyguardrail.sources.reading import InputFile, rows_of

CATEGORIES = {
    "common queries": "common",
    "technique queries": "technique",
    "virtual creation": "creative",
    "multilingual": "multilingual",
}
SEEN = "_in_piguard_validation"


def notinject(files: Sequence[InputFile]) -> Iterator[Record]:
    """Family `notinject_<one|two|three>_<category>`; what PIGuard was tuned on carries a suffix."""
    seen = {row.text("prompt") for file in files if file.role == "reference" for row in file.rows()}
    for file, row in rows_of(files):
        words = Path(file.name).stem.rpartition("_")[2]
        family = f"notinject_{words}_{row.choice('category', CATEGORIES)}"
        text = row.text("prompt")
        yield file.record(text, BENIGN, family + (SEEN if text in seen else ""))
