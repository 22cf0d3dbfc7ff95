"""Sets whose rows carry a label column, or hold one label alone."""

from collections.abc import Iterator, Sequence

from tinyguardrail.data.labels import BENIGN
from tinyguardrail.data.records import Record
from tinyguardrail.sources.reading import InputFile, rows_of
from tinyguardrail.sources.source import SourceError

DEEPSET_LABELS = {"0": BENIGN, "1": "direct_injection"}
HACKAPROMPT_LABELS = {"1": "direct_injection"}


def deepset(files: Sequence[InputFile]) -> Iterator[Record]:
    """deepset/prompt-injections: `label` is 0 or 1, as a number or as text."""
    for file, row in rows_of(files):
        label = row.choice("label", DEEPSET_LABELS)
        yield file.record(row.text("text"), label, "question" if label == BENIGN else "injection")


def hackaprompt(files: Sequence[InputFile]) -> Iterator[Record]:
    """HackAPrompt (2311.16119): a level's template around the player's text, all of it an attack.

    The level is the parent, because its template stands in each of its rows.
    """
    for file, row in rows_of(files):
        parent = f"{file.source}/level_{row.get('difficulty')}"
        label = row.choice("label", HACKAPROMPT_LABELS)
        yield file.record(row.text("text"), label, "hackaprompt", parent)


def pint(files: Sequence[InputFile]) -> Iterator[Record]:
    """Lakera PINT: `label` is true for an attack, `category` says which."""
    for file, row in rows_of(files):
        if not isinstance(row.get("label"), bool):
            raise SourceError(f"{row.place}: label {row.get('label')!r} must be true or false")
        category = "_".join(row.text("category").lower().split())
        threat = "jailbreak" if "jailbreak" in category else "direct_injection"
        label = threat if row.get("label") else BENIGN
        yield file.record(row.text("text"), label, f"pint_{category}")
