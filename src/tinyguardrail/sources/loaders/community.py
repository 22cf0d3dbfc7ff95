"""Prompts that strangers contributed, without labels: those that an attack pattern finds are dropped."""

from collections.abc import Iterator, Sequence

from tinyguardrail.data.labels import BENIGN
from tinyguardrail.data.records import Record
from tinyguardrail.sources.attack_patterns import without_attacks
from tinyguardrail.sources.reading import InputFile, Row, rows_of

BENIGN_ONLY = {"0": BENIGN}
FAMILY_OF_ORIGIN = {"databricks-dolly-15k": "question", "lmsys": "chat"}


def prompts_chat(files: Sequence[InputFile]) -> Iterator[Record]:
    """prompts.chat: personas, agents, system prompts and prompts for images."""
    prompts = (file.record(row.text("prompt"), BENIGN, "community_prompt") for file, row in rows_of(files))
    return without_attacks(prompts, files[0].dropped)


def promptshield_conversation(files: Sequence[InputFile]) -> Iterator[Record]:
    """PromptShield (2501.15145), conversations: open questions of Dolly, first turns of LMSYS-Chat-1M."""
    return without_attacks((_first_turn(file, row) for file, row in rows_of(files)), files[0].dropped)


def _first_turn(file: InputFile, row: Row) -> Record:
    instruction, added = row.text("instruction"), row.text("input")
    text = f"{instruction}\n\n{added}" if added else instruction
    return file.record(text, row.choice("flag", BENIGN_ONLY), row.choice("source", FAMILY_OF_ORIGIN))
