"""Reader of the authored grammar: frames with slots, what fills them, and words around them.

The kinds of entry in `data/corpus/grammar/*.yaml` are those of `entries.py`, each told by a key.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any

from pydantic import ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from tinyguardrail.data.corpus import CorpusError
from tinyguardrail.data.entries import (
    Affixes,
    Counterfactual,
    DocumentRequests,
    Documents,
    Entry,
    PlantedTasks,
    RequestFrames,
    ScenarioTasks,
    Shells,
    SlotValues,
    Tables,
    TopicFrames,
    Topics,
)
from tinyguardrail.data.slots import unknown_slots

KINDS: dict[str, type[Entry]] = {
    "frame": Counterfactual,
    "frames": RequestFrames,
    "openers": Affixes,
    "requests": DocumentRequests,
    "topics": Topics,
    "topic_frames": TopicFrames,
    "shells": Shells,
    "tasks": ScenarioTasks,
    "slots": SlotValues,
    "planted_tasks": PlantedTasks,
    "documents": Documents,
    "tables": Tables,
}


class Grammar:
    """All entries of all files, in file-name and file order."""

    def __init__(self, folder: Path) -> None:
        """Read the folder.

        Raises:
            CorpusError: no file, bad YAML, an entry of no known kind, a frame without its slot;
                the message names the file and the entry.
        """
        entries = list(_read(folder))
        self.counterfactuals = [entry for entry in entries if isinstance(entry, Counterfactual)]
        self.request_frames = [entry for entry in entries if isinstance(entry, RequestFrames)]
        self.affixes = {entry.language: entry for entry in entries if isinstance(entry, Affixes)}
        self.document_requests = {
            entry.language: entry.requests for entry in entries if isinstance(entry, DocumentRequests)
        }
        self.topics = [entry for entry in entries if isinstance(entry, Topics)]
        self.topic_frames = [entry for entry in entries if isinstance(entry, TopicFrames)]
        self.shells = [entry for entry in entries if isinstance(entry, Shells)]
        self.scenario_tasks = [entry for entry in entries if isinstance(entry, ScenarioTasks)]
        self.planted_tasks = [entry for entry in entries if isinstance(entry, PlantedTasks)]
        self.documents = [entry for entry in entries if isinstance(entry, Documents | Tables)]
        self.slots: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
        for entry in entries:
            if isinstance(entry, SlotValues):
                for name, values in entry.slots.items():
                    known = self.slots[entry.language][name]
                    known += [value for value in values if value not in known]
        _check_slots(folder, self)

    def dress(self, language: str, dressing: int, rng: Random) -> Callable[[str], str]:
        """A function that puts an opener (1), a closer (2), or both (3 and above) around a text.

        0 leaves the text as it is, and so does a language without openers and closers.
        """
        affixes = self.affixes.get(language)
        if affixes is None or dressing == 0:
            return lambda text: text
        opener = rng.choice(affixes.openers) if dressing != 2 else ""
        closer = rng.choice(affixes.closers) if dressing != 1 else ""
        return lambda text: " ".join(part for part in (opener, text, closer) if part)


def _read(folder: Path) -> Iterator[Entry]:
    files = sorted(folder.glob("*.yaml"))
    if not files:
        raise CorpusError(f"{folder}: no *.yaml file; check out data/corpus again")
    for path in files:
        try:
            content = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
        except (YAMLError, UnicodeDecodeError) as error:
            raise CorpusError(f"{path}: not YAML: {' '.join(str(error).split())}") from None
        if not isinstance(content, list):
            raise CorpusError(f"{path}: expected a list of entries")
        for number, entry in enumerate(content, start=1):
            yield _parse(f"{path}: entry {number}", entry)


def _parse(place: str, entry: Any) -> Entry:
    kind = next((kind for key, kind in KINDS.items() if isinstance(entry, dict) and key in entry), None)
    if kind is None:
        raise CorpusError(f"{place}: expected a mapping with one of the keys {', '.join(KINDS)}")
    try:
        return kind.model_validate(entry)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        raise CorpusError(f"{place}: {key}: {first['msg']}") from None


def _check_slots(folder: Path, grammar: Grammar) -> None:
    for entry in grammar.shells:
        used = {name for shell in entry.shells for name in re.findall(r"{(\w+)}", shell)} - {"task"}
        if missing := used - grammar.slots[entry.language].keys():
            raise CorpusError(f"{folder}: shells in {entry.language} lack slots {', '.join(sorted(missing))}")
    for entry in grammar.documents:
        if isinstance(entry, Documents):
            texts = [f"{each.title}\n{each.sender}\n{each.body}" for each in entry.documents]
            texts += [re.sub("<<(title|sender|body)>>", "", layout) for layout in entry.layouts]
        else:
            texts = [" ".join(each.columns.values()) for each in entry.tables]
        for text in texts:
            if bad := unknown_slots(text, grammar.slots[entry.language]):
                raise CorpusError(f"{folder}: {entry.family}: nothing fills <<{bad[0]}>> in {text[:60]!r}")
