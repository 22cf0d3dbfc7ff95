"""Jailbreak prompts that people wrote; "[INSERT PROMPT HERE]" stays as the place of the request."""

from collections.abc import Iterator, Sequence

from tinyguardrail.data.records import Record
from tinyguardrail.sources.reading import InputFile, rows_of

JAILBREAK_ONLY = {"true": "jailbreak"}


def in_the_wild(files: Sequence[InputFile]) -> Iterator[Record]:
    """In-the-wild jailbreak prompts (2308.03825); `jailbreak` is the text True in every row."""
    for file, row in rows_of(files):
        label = row.choice("jailbreak", JAILBREAK_ONLY)
        yield file.record(row.text("prompt"), label, "in_the_wild")


def self_reminder(files: Sequence[InputFile]) -> Iterator[Record]:
    """Self-Reminder data (Xie et al., Nature Machine Intelligence 2023)."""
    for file, row in rows_of(files):
        yield file.record(row.text("prompt"), "jailbreak", "jailbreak_template")


def gptfuzzer(files: Sequence[InputFile]) -> Iterator[Record]:
    """GPTFuzzer seed templates (2309.10253)."""
    for file, row in rows_of(files):
        yield file.record(row.text("text"), "jailbreak", "jailbreak_template")
