"""Reader of the authored grammar: frames with a slot, what fills them, and words around them.

Four kinds of entry stand in `data/corpus/grammar/*.yaml`. A counterfactual frame is filled
with harmless and with hostile objects, so that only the object tells the two apart; a request
frame takes a whole request, and is itself an attack or not; openers and closers stand around
any request without hinting at its intent. Beside them stand requests about a document.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from tinyguardrail.data.corpus import CorpusError


def _one_slot(name: str) -> Any:
    def check(frame: str) -> str:
        if frame.count(f"{{{name}}}") != 1 or frame.count("{") != 1 or frame.count("}") != 1:
            raise ValueError(f"must hold {{{name}}} once and no other brace: {frame[:60]!r}")
        return frame

    return AfterValidator(check)


def _all_differ(values: list[str]) -> list[str]:
    if len(set(values)) != len(values) or not all(value.strip() for value in values):
        raise ValueError("must be texts that all differ")
    return values


Texts = Annotated[list[str], Field(min_length=1), AfterValidator(_all_differ)]


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)
    language: str


class Counterfactual(_Entry):
    """A frame whose object alone decides between benign and `threat`."""

    kind: str
    threat: Literal["jailbreak", "direct_injection"]
    frame: Annotated[str, _one_slot("object")]
    harmless: Texts
    hostile: Texts

    def fill(self, value: str) -> str:
        return self.frame.replace("{object}", value)


class RequestFrames(_Entry):
    """Frames that take a whole request: jailbreaks around a disallowed one, or benign ones."""

    kind: str
    label: Literal["jailbreak", "benign"]
    frames: Annotated[list[Annotated[str, _one_slot("request")]], Field(min_length=1)]


class Affixes(_Entry):
    """What may stand before and after any request of a language."""

    openers: Texts
    closers: Texts


class DocumentRequests(_Entry):
    """What is honestly asked about a document that stands beside the request."""

    requests: Texts


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


def _read(folder: Path) -> Iterator[_Entry]:
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


def _parse(place: str, entry: Any) -> _Entry:
    kinds = {
        "frame": Counterfactual,
        "frames": RequestFrames,
        "openers": Affixes,
        "requests": DocumentRequests,
    }
    kind = next((kind for key, kind in kinds.items() if isinstance(entry, dict) and key in entry), None)
    if kind is None:
        raise CorpusError(f"{place}: expected a mapping with one of the keys {', '.join(kinds)}")
    try:
        return kind.model_validate(entry)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        raise CorpusError(f"{place}: {key}: {first['msg']}") from None
