"""ToxicChat (2310.17389) in the layout of JUDGE-BENCH: real user prompts with human annotations."""

from collections.abc import Iterator, Sequence

from tinyguardrail.data.labels import BENIGN
from tinyguardrail.data.records import Record
from tinyguardrail.sources.reading import InputFile, Row

LABELS = {"0": BENIGN, "1": "jailbreak"}
FAMILIES = {"0": "chat", "1": "toxic"}


def toxic_chat(files: Sequence[InputFile]) -> Iterator[Record]:
    """Jailbreaking is the threat; toxicity alone is not, and only names the family."""
    for file in files:
        for row in file.json().rows("instances"):
            label = _annotation(row, "jailbreaking").choice("majority_human", LABELS)
            family = _annotation(row, "toxicity").choice("majority_human", FAMILIES)
            yield file.record(row.text("instance"), label, family if label == BENIGN else "in_chat_jailbreak")


def _annotation(row: Row, name: str) -> Row:
    return Row(f"{row.place}: {name}", Row(row.place, row.get("annotations")).get(name))
