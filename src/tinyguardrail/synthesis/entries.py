"""What may stand in `data/corpus/grammar/*.yaml`, as strict models: one class per kind of entry.

A counterfactual frame is filled with harmless and with hostile objects, so that only the object
tells the two apart; a request frame takes a whole request, and is itself an attack or not; openers
and closers stand around any request without hinting at its intent. Beside them stand requests about
a document, topics and what is asked about them, scenario shells and tasks, documents with slots,
and what is planted in documents.
"""

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from tinyguardrail_common.param_types import Strict

Text = Annotated[str, Field(min_length=1)]


def _all_differ(values: list[str]) -> list[str]:
    if len(set(values)) != len(values) or not all(value.strip() for value in values):
        raise ValueError("must be texts that all differ")
    return values


Texts = Annotated[list[str], Field(min_length=1), AfterValidator(_all_differ)]


def _slots(names: str, once: str = "") -> Any:
    """A text with slots of these names in braces, one of them exactly once, and no other brace."""
    known = names.split()

    def check(text: str) -> str:
        found = re.findall(r"\{(\w*)\}", text)
        if once and found.count(once) != 1:
            raise ValueError(f"must hold {{{once}}} once: {text[:60]!r}")
        if not found or set(found) - set(known) or {text.count("{"), text.count("}")} != {len(found)}:
            raise ValueError(f"must hold slots of {', '.join(known)} and no other brace: {text[:60]!r}")
        return text

    return Annotated[str, AfterValidator(check)]


def _with_body(layout: str) -> str:
    if layout.count("<<body>>") != 1:
        raise ValueError(f"must hold <<body>> once: {layout[:60]!r}")
    return layout


class Entry(Strict):
    language: str


class Counterfactual(Entry):
    """A frame whose object alone decides between benign and `intent`."""

    kind: str
    intent: Literal["harm", "injection"]
    frame: _slots("object", once="object")
    harmless: Texts
    hostile: Texts

    def fill(self, value: str) -> str:
        return self.frame.replace("{object}", value)


class RequestFrames(Entry):
    """Frames that take a whole request: jailbreaks around a disallowed one, or benign ones."""

    kind: str
    label: Literal["jailbreak", "benign"]
    frames: Annotated[list[_slots("request", once="request")], Field(min_length=1)]


class Affixes(Entry):
    """What may stand before and after any request of a language."""

    openers: Texts
    closers: Texts


class DocumentRequests(Entry):
    """What is honestly asked about a document that stands beside the request."""

    requests: Texts


class Topic(Strict):
    """A harmful topic as a noun phrase, as what doing it is called, as a verb phrase, and its doers."""

    noun: Text
    gerund: Text
    verb: Text
    people: Text


class Topics(Entry):
    """Topics of one group: what can happen to the one who asks, or what is a matter of society."""

    group: str
    about: Literal["people", "society"]
    topics: Annotated[list[Topic], Field(min_length=1)]


class TopicFrames(Entry):
    """What is asked about a topic, harmless or for the harm itself."""

    label: Literal["jailbreak", "benign"]
    about: Literal["people", "society", "any"]
    topic_frames: Annotated[
        list[_slots("noun gerund verb people")],
        Field(min_length=1),
        AfterValidator(_all_differ),
    ]


SHELL_SLOTS = "character setting twist role persona world purpose disclaimer"


class Shells(Entry):
    """Set-ups around a task of one kind."""

    takes: str
    shells: Annotated[
        list[_slots(f"{SHELL_SLOTS} task", once="task")],
        Field(min_length=1),
        AfterValidator(_all_differ),
    ]


class ScenarioTasks(Entry):
    """What a set-up asks for in the end."""

    takes: str
    label: Literal["jailbreak", "benign"]
    tasks: Texts


class SlotValues(Entry):
    """What fills the slots of shells and documents."""

    slots: Annotated[dict[str, Texts], Field(min_length=1)]


class PlantedTasks(Entry):
    """What is planted in a document though it has nothing to do with it; `code` is for code."""

    code: bool
    planted_tasks: Texts


class Template(Strict):
    """One document with slots; a layout puts its parts together."""

    title: Text
    body: Text
    sender: str = ""


class Documents(Entry):
    """Documents of one family and the layouts that any of them may have."""

    family: str
    layouts: Annotated[list[Annotated[str, AfterValidator(_with_body)]], Field(min_length=1)]
    documents: Annotated[list[Template], Field(min_length=1)]


class Table(Strict):
    """A table: what stands above each column and what fills its cells."""

    title: Text
    columns: Annotated[dict[str, str], Field(min_length=2)]


class Tables(Entry):
    """Tables of one family."""

    family: str
    tables: Annotated[list[Table], Field(min_length=1)]
