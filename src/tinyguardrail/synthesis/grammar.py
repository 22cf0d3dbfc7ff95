"""Reader of the authored grammar: frames with slots, what fills them, and words around them.

The kinds of entry in `data/corpus/grammar/*.yaml` are those of `entries.py`, each told by a key.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any

from pydantic import ValidationError

from tinyguardrail.sources.corpus import corpus_files
from tinyguardrail.sources.reading import parse_yaml_list, read_text
from tinyguardrail.sources.source import SourceError
from tinyguardrail.synthesis import entries
from tinyguardrail.synthesis.entries import Entry
from tinyguardrail.synthesis.slots import unknown_slots

KINDS: dict[str, type[Entry]] = {
    "frame": entries.Counterfactual,
    "frames": entries.RequestFrames,
    "openers": entries.Affixes,
    "requests": entries.DocumentRequests,
    "topics": entries.Topics,
    "topic_frames": entries.TopicFrames,
    "shells": entries.Shells,
    "tasks": entries.ScenarioTasks,
    "slots": entries.SlotValues,
    "planted_tasks": entries.PlantedTasks,
    "documents": entries.Documents,
    "tables": entries.Tables,
}


class Grammar:
    """All entries of all files, in file-name and file order."""

    def __init__(self, folder: Path) -> None:
        """Read the folder.

        Raises:
            SourceError: no file, bad YAML, an entry of no known kind, a frame without its slot;
                the message names the file and the entry.
        """
        found = list(_read(folder))

        def of(*kinds: type[Entry]) -> list[Any]:
            return [entry for entry in found if isinstance(entry, kinds)]

        self.counterfactuals = of(entries.Counterfactual)
        self.request_frames = of(entries.RequestFrames)
        self.affixes = {entry.language: entry for entry in of(entries.Affixes)}
        self.document_requests = {entry.language: entry.requests for entry in of(entries.DocumentRequests)}
        self.topics = of(entries.Topics)
        self.topic_frames = of(entries.TopicFrames)
        self.shells = of(entries.Shells)
        self.scenario_tasks = of(entries.ScenarioTasks)
        self.planted_tasks = of(entries.PlantedTasks)
        self.documents = of(entries.Documents, entries.Tables)
        self.slots: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
        for entry in of(entries.SlotValues):
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
    for path in corpus_files(folder):
        content = parse_yaml_list(read_text(path, str(path)), str(path))
        for number, entry in enumerate(content, start=1):
            yield _parse(f"{path}: entry {number}", entry)


def _parse(place: str, entry: Any) -> Entry:
    kind = next((kind for key, kind in KINDS.items() if isinstance(entry, dict) and key in entry), None)
    if kind is None:
        raise SourceError(f"{place}: expected a mapping with one of the keys {', '.join(KINDS)}")
    try:
        return kind.model_validate(entry)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        raise SourceError(f"{place}: {key}: {first['msg']}") from None


def _check_slots(folder: Path, grammar: Grammar) -> None:
    for entry in grammar.shells:
        used = {name for shell in entry.shells for name in re.findall(r"{(\w+)}", shell)} - {"task"}
        if missing := used - grammar.slots[entry.language].keys():
            raise SourceError(f"{folder}: shells in {entry.language} lack slots {', '.join(sorted(missing))}")
    for entry in grammar.documents:
        if isinstance(entry, entries.Documents):
            texts = [f"{each.title}\n{each.sender}\n{each.body}" for each in entry.documents]
            texts += [re.sub("<<(title|sender|body)>>", "", layout) for layout in entry.layouts]
        else:
            texts = [" ".join(each.columns.values()) for each in entry.tables]
        for text in texts:
            if bad := unknown_slots(text, grammar.slots[entry.language]):
                raise SourceError(f"{folder}: {entry.family}: nothing fills <<{bad[0]}>> in {text[:60]!r}")
