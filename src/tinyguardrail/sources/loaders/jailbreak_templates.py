"""Jailbreak prompts that people wrote; "[INSERT PROMPT HERE]" stays as the place of the request."""

from collections.abc import Iterator, Sequence

from tinyguardrail.data.records import Record, parent_of
from tinyguardrail.sources.reading import InputFile, rows_of

JAILBREAK_ONLY = {"true": "jailbreak"}
JAILBENCH_OPENING = 20  # characters that tell JailBench's twenty frames apart


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


def jailbench_zh(files: Sequence[InputFile]) -> Iterator[Record]:
    """JailBench (2502.18935): twenty Chinese frames around 108 requests each.

    The frame is the parent, because rows of one frame nearly repeat each other: tied by request, the few
    of the test split would push the others out of training.
    """
    for file, row in rows_of(files):
        text = row.text("query")
        parent = parent_of(file.source, text[:JAILBENCH_OPENING])
        yield file.record(text, "jailbreak", "jailbench_zh", parent)
