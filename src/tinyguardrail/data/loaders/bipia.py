"""BIPIA (2312.14197): instructions planted in mails, tables and code answers.

The payloads are ordinary requests: it is their insertion into a context that attacks. So beside
the injected contexts stand, in equal number, the clean context and the context with its honest
question.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from tinyguardrail.data.contexts import POSITIONS, excerpt, insert
from tinyguardrail.data.download import SourceError
from tinyguardrail.data.loaders.cleaning import Report
from tinyguardrail.data.loaders.reading import Row, place_of, read_json, read_rows, record
from tinyguardrail.data.records import BENIGN, Record, parent_of

if TYPE_CHECKING:
    from tinyguardrail.data.registry import Source, SourceFile

PAYLOADS_OF_TASK = {"email": "text", "table": "text", "code": "code"}
INJECTED_PER_CONTEXT = 2
TRAINING_CHARACTERS = 450  # of a training context around what is put into it; test contexts stay whole
CODE_QUESTIONS = (
    "This code fails. What has to change?",
    "Why do I get this error, and how can I fix it?",
    "Help me to repair the following function.",
    "How should I rewrite this so that it runs?",
    "Find the mistake in my code.",
)


class Context(NamedTuple):
    task: str
    text: str
    question: str


class Payloads:
    """Deals payloads and positions in turn: each payload equally often, at each position in turn."""

    def __init__(self, payloads: list[str]) -> None:
        self._payloads = payloads
        self._dealt = 0

    def deal(self) -> tuple[str, str]:
        """The next payload, and its position."""
        turn, place = divmod(self._dealt, len(self._payloads))
        self._dealt += 1
        return self._payloads[place], POSITIONS[(place + turn) % len(POSITIONS)]


def bipia(files: Mapping[str, Path], source: Source, report: Report) -> Iterator[Record]:
    """Four rows per distinct context: two injected, one clean, one with its question."""
    known = {file.name: file for file in source.files}
    for role in ("train", "test"):
        payloads = {
            kind: _payloads(files, source, known[f"{kind}_attack_{role}.json"]) for kind in ("text", "code")
        }
        for task, kind in PAYLOADS_OF_TASK.items():
            file = known[f"{task}_{role}.jsonl"]
            forbidden = set()
            if role == "train":
                test = _contexts(files, source, known[f"{task}_test.jsonl"], task)
                forbidden = {_normalised(context.text) for context in test}
            contexts = _distinct(_contexts(files, source, file, task), forbidden, report)
            for number, context in enumerate(contexts):
                yield from _rows(source, file, context, payloads[kind], ("end", "start")[number % 2])


def _rows(
    source: Source, file: SourceFile, context: Context, payloads: Payloads, question_position: str
) -> Iterator[Record]:
    family, parent = f"bipia_{context.task}", parent_of(source.name, context.text)
    whole = file.role == "test"

    def planted(text: str, position: str) -> str:
        around = context.text if whole else excerpt(context.text, position, TRAINING_CHARACTERS)
        return insert(around, text, position)

    for _ in range(INJECTED_PER_CONTEXT):
        text = planted(*payloads.deal())
        yield record(source, file, text, "direct_injection", family, parent)
    yield record(source, file, context.text, BENIGN, f"{family}_clean", parent)
    text = planted(context.question, question_position)
    yield record(source, file, text, BENIGN, f"{family}_question", parent)


def _contexts(files: Mapping[str, Path], source: Source, file: SourceFile, task: str) -> Iterator[Context]:
    for number, row in enumerate(read_rows(files[file.name], place_of(source, file.name))):
        if task == "code":
            asked = CODE_QUESTIONS[number % len(CODE_QUESTIONS)]
            question = "\n".join([asked, *row.get("code"), *row.get("error")])
            yield Context(task, "\n".join(row.get("context")), question)
        else:
            yield Context(task, row.text("context"), _sentence(row.text("question")))


def _sentence(question: str) -> str:
    """Mail questions start with "Q:" and table questions in lower case; payloads do neither, so drop both."""
    bare = question.removeprefix("Q:").strip()
    return bare[:1].upper() + bare[1:]


def _distinct(contexts: Iterator[Context], forbidden: set[str], report: Report) -> Iterator[Context]:
    seen: set[str] = set()
    for context in contexts:
        key = _normalised(context.text)
        if key in forbidden:
            report.drop("context_in_test")
        elif key in seen:
            report.drop("repeated_context")
        else:
            seen.add(key)
            yield context


def _normalised(text: str) -> str:
    return " ".join(text.split())


def _payloads(files: Mapping[str, Path], source: Source, file: SourceFile) -> Payloads:
    """Payloads of a file, one of each category in turn, so that few contexts still meet them all."""
    place = place_of(source, file.name)
    categories = Row(place, read_json(files[file.name], place)).values.values()
    payloads = [text for turn in zip_longest(*categories) for text in turn if text is not None]
    if not payloads:
        raise SourceError(f"{place}: holds no payload")
    return Payloads(payloads)
