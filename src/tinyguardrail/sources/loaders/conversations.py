"""What users, and the tools they reach, say in conversations: a turn is a row, a conversation a parent.

What models answer is never read.
"""

from collections.abc import Iterator, Sequence

from tinyguardrail.data.labels import BENIGN
from tinyguardrail.data.records import Record, parent_of
from tinyguardrail.sources.attack_patterns import without_attacks
from tinyguardrail.sources.reading import InputFile, Row, rows_of
from tinyguardrail.sources.source import SourceError

FAMILY_OF_GLAIVE_ROLE = {
    "human": "tool_request",
    "observation": "tool_result",
    "gpt": "",
    "function_call": "",
}
FAMILY_OF_BFCL_ROLE = {"user": "tool_request", "system": "system_prompt"}
CHAT_ROLES = {"user": "chat", "assistant": ""}
OASST_ROLES = {"prompter": "chat", "assistant": ""}
OASST_DELETED = {"true": "deleted", "false": ""}


def mtbench101(files: Sequence[InputFile]) -> Iterator[Record]:
    """MT-Bench-101 (2402.14762): the user's turns."""
    for file, row in rows_of(files):
        for turn in row.rows("history"):
            yield file.record(turn.text("user"), BENIGN, "multi_turn", f"{file.source}/{row.get('id')}")


def komt_bench(files: Sequence[InputFile]) -> Iterator[Record]:
    """KoMT-Bench: MT-Bench (2306.05685) in Korean; the two turns of a question are plain texts."""
    for file, row in rows_of(files):
        for turn in row.get("turns"):
            if not isinstance(turn, str):
                raise SourceError(f"{row.place}: turn {turn!r:.80} is not text")
            yield file.record(turn, BENIGN, "multi_turn", f"{file.source}/{row.get('question_id')}")


def vigogne_oasst_fr(files: Sequence[InputFile]) -> Iterator[Record]:
    """Conversations of OpenAssistant in French, each the best-ranked branch of its tree."""
    for file, row in rows_of(files):
        for message in row.rows("messages"):
            if family := message.choice("role", CHAT_ROLES):
                yield file.record(message.text("content"), BENIGN, family, f"{file.source}/{row.get('id')}")


def oasst(files: Sequence[InputFile]) -> Iterator[Record]:
    """OpenAssistant (2304.07327), a message a row; messages that its moderators deleted are left out."""
    return without_attacks(_flat_trees(files), files[0].dropped)


def oasst_tree(files: Sequence[InputFile]) -> Iterator[Record]:
    """OpenAssistant, a tree a row: every message holds its replies."""
    trees = (
        _turn(file, message, row.text("message_tree_id"))
        for file, row in rows_of(files)
        for message in _messages(Row(f"{row.place}: prompt", row.get("prompt")))
        if message.choice("role", OASST_ROLES)
    )
    return without_attacks(trees, files[0].dropped)


def bfcl(files: Sequence[InputFile]) -> Iterator[Record]:
    """Berkeley Function-Calling Leaderboard: requests to agents, and the system prompts before them.

    A system prompt stands before many requests: it is a row once, and its own parent.
    """
    seen: set[str] = set()
    for file, row in rows_of(files):
        for message in _bfcl_messages(row):
            text, family = message.text("content"), message.choice("role", FAMILY_OF_BFCL_ROLE)
            if family == "tool_request":
                yield file.record(text, BENIGN, family, f"{file.source}/{row.get('id')}")
            elif text in seen:
                file.dropped["repeated_system_prompt"] += 1
            else:
                seen.add(text)
                yield file.record(text, BENIGN, family)


def glaive_toolcall(files: Sequence[InputFile]) -> Iterator[Record]:
    """Glaive function calling: the human's turns, and what tools gave back.

    Conversations have no identifier; those that open with the same text are one parent.
    """
    for file, row in rows_of(files):
        messages = list(row.rows("conversations"))
        parent = parent_of(file.source, messages[0].text("value"))
        for message in messages:
            if family := message.choice("from", FAMILY_OF_GLAIVE_ROLE):
                yield file.record(message.text("value"), BENIGN, family, parent)


def _flat_trees(files: Sequence[InputFile]) -> Iterator[Record]:
    for file, row in rows_of(files):
        if not row.choice("role", OASST_ROLES):
            continue
        if reason := row.choice("deleted", OASST_DELETED):
            file.dropped[reason] += 1
        else:
            yield _turn(file, row, row.text("message_tree_id"))


def _messages(message: Row) -> Iterator[Row]:
    """A message and all below it, depth first."""
    yield message
    for reply in message.rows("replies"):
        yield from _messages(reply)


def _turn(file: InputFile, message: Row, tree: str) -> Record:
    """A tree is one parent in both files of OpenAssistant: they share six."""
    return file.record(message.text("text"), BENIGN, "chat", f"oasst/{tree}")


def _bfcl_messages(row: Row) -> Iterator[Row]:
    """`question` is a list of turns, each a list of messages."""
    for number, turn in enumerate(row.get("question"), 1):
        for message in turn:
            yield Row(f"{row.place}: turn {number}", message)
