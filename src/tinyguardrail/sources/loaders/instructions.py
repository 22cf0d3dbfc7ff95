"""Benign requests to an assistant: instructions, role play, tool use, "act as" prompts."""

from collections.abc import Iterator, Sequence

from tinyguardrail.data.labels import BENIGN
from tinyguardrail.data.records import Record, parent_of
from tinyguardrail.sources.reading import InputFile, Row, rows_of

NO_INPUT = frozenset({"", "<noinput>", "noinput"})


def alpaca(files: Sequence[InputFile]) -> Iterator[Record]:
    """Alpaca and its seed tasks: the instruction, and its input below; outputs are not read."""
    for file, row in rows_of(files):
        if "instances" in row.values:
            row = Row(row.place, {"instruction": row.get("instruction"), **row.get("instances")[0]})
        yield _instruction(file, row, "instruction")


def gpteacher(files: Sequence[InputFile]) -> Iterator[Record]:
    for file, row in rows_of(files):
        yield _instruction(file, row, "role_play" if "roleplay" in file.name else "tool_use")


def awesome_prompts(files: Sequence[InputFile]) -> Iterator[Record]:
    for file, row in rows_of(files):
        yield file.record(row.text("prompt"), BENIGN, "act_as")


def _instruction(file: InputFile, row: Row, family: str) -> Record:
    """The instruction is the parent: some stand with several inputs."""
    instruction, added = row.text("instruction"), row.text("input")
    text = instruction if added.strip().lower() in NO_INPUT else f"{instruction}\n\n{added}"
    return file.record(text, BENIGN, family, parent_of(file.source, instruction))
