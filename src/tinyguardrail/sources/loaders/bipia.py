"""BIPIA (2312.14197): instructions planted in mails, tables and code answers.

The payloads are ordinary requests: it is their insertion into a context that attacks. So beside
the injected contexts stand, in equal number, the clean context and the context with its honest
question.
"""

from collections.abc import Iterator, Sequence
from itertools import count, zip_longest
from typing import NamedTuple

from tinyguardrail.data.contexts import POSITIONS, TRAINING_CHARACTERS, plant
from tinyguardrail.data.labels import BENIGN
from tinyguardrail.data.records import Record, parent_of
from tinyguardrail.sources.reading import InputFile
from tinyguardrail.sources.source import SourceError

PAYLOADS_OF_TASK = {"email": "text", "table": "text", "code": "code"}
INJECTED_PER_CONTEXT = 2
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


def _deal(payloads: list[str]) -> Iterator[tuple[str, str]]:
    """Payloads and positions without end: each payload equally often, at each position in turn."""
    for turn in count():
        for place, payload in enumerate(payloads):
            yield payload, POSITIONS[(place + turn) % len(POSITIONS)]


def bipia(files: Sequence[InputFile]) -> Iterator[Record]:
    """Four rows per distinct context: two injected, one clean, one with its question."""
    known = {file.name: file for file in files}
    for role in ("train", "test"):
        payloads = {kind: _deal(_payloads(known[f"{kind}_attack_{role}.json"])) for kind in ("text", "code")}
        for task, kind in PAYLOADS_OF_TASK.items():
            file = known[f"{task}_{role}.jsonl"]
            forbidden = set()
            if role == "train":
                test = _contexts(known[f"{task}_test.jsonl"], task)
                forbidden = {_normalised(context.text) for context in test}
            for number, context in enumerate(_distinct(file, task, forbidden)):
                yield from _rows(file, context, payloads[kind], ("end", "start")[number % 2])


def _rows(
    file: InputFile, context: Context, payloads: Iterator[tuple[str, str]], question_position: str
) -> Iterator[Record]:
    family, parent = f"bipia_{context.task}", parent_of(file.source, context.text)
    characters = None if file.role == "test" else TRAINING_CHARACTERS
    for _ in range(INJECTED_PER_CONTEXT):
        text = plant(context.text, *next(payloads), characters)
        yield file.record(text, "direct_injection", family, parent)
    yield file.record(context.text, BENIGN, f"{family}_clean", parent)
    text = plant(context.text, context.question, question_position, characters)
    yield file.record(text, BENIGN, f"{family}_question", parent)


def _contexts(file: InputFile, task: str) -> Iterator[Context]:
    for number, row in enumerate(file.rows()):
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


def _distinct(file: InputFile, task: str, forbidden: set[str]) -> Iterator[Context]:
    seen: set[str] = set()
    for context in _contexts(file, task):
        key = _normalised(context.text)
        if key in forbidden:
            file.dropped["context_in_test"] += 1
        elif key in seen:
            file.dropped["repeated_context"] += 1
        else:
            seen.add(key)
            yield context


def _normalised(text: str) -> str:
    return " ".join(text.split())


def _payloads(file: InputFile) -> list[str]:
    """Payloads of a file, one of each category in turn, so that few contexts still meet them all."""
    categories = file.json().values.values()
    payloads = [text for turn in zip_longest(*categories) for text in turn if text is not None]
    if not payloads:
        raise SourceError(f"{file.place}: holds no payload")
    return payloads
