"""Reader of the authored corpus: YAML files of sections that a person can extend.

A section says `kind`, `label` and `language` once and lists its `texts`. Everything wrong
is reported as file:line.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from tinyguardrail.data.records import LABELS, NO_TRANSFORM, OBFUSCATION, Record, parent_of
from tinyguardrail.errors import UserError
from tinyguardrail.progress import progress

SOURCE = "authored"
AUTHORED_LABELS = tuple(label for label in LABELS if label != OBFUSCATION)  # obfuscation is synthesized
KEYS = ("kind", "label", "language", "texts")


class CorpusError(UserError):
    """A damaged corpus file; the message starts with file:line."""


def read_corpus(folder: Path) -> list[Record]:
    """All texts of all `*.yaml` files, in file-name and file order.

    Raises:
        CorpusError: no file, bad YAML, a missing or unknown key, an unknown label, an empty
            or repeated text; the message names file and line.
    """
    files = sorted(folder.glob("*.yaml"))
    if not files:
        raise CorpusError(f"{folder}: no *.yaml file; check out data/corpus again")
    records: list[Record] = []
    places: dict[str, str] = {}
    for path in progress(files, "authored corpus"):
        for place, record in _read_file(path):
            if record.text in places:
                raise CorpusError(f"{place}: this text stands at {places[record.text]} already; remove one")
            places[record.text] = place
            records.append(record)
    return records


def _read_file(path: Path) -> Iterator[tuple[str, Record]]:
    try:
        root = YAML(typ="safe", pure=True).compose(path.read_text(encoding="utf-8"))
    except UnicodeDecodeError as error:
        raise CorpusError(f"{path}: not UTF-8 at byte {error.start}; save the file as UTF-8") from None
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        raise CorpusError(
            f"{path}:{line}: bad YAML: {error.problem}; quote the text or use a |- block"
        ) from None
    if not isinstance(root, SequenceNode):
        raise CorpusError(f"{path}:1: expected a list of sections, each with {', '.join(KEYS)}")
    for section in root.value:
        yield from _read_section(path, section)


def _read_section(path: Path, section: Node) -> Iterator[tuple[str, Record]]:
    place = _place(path, section)
    if not isinstance(section, MappingNode):
        raise CorpusError(f"{place}: expected a section with {', '.join(KEYS)}")
    fields = {key.value: value for key, value in section.value}
    for key in KEYS:
        if key not in fields:
            raise CorpusError(f"{place}: section has no {key}; it needs {', '.join(KEYS)}")
    for key, value in section.value:
        if key.value not in KEYS:
            raise CorpusError(
                f"{_place(path, key)}: unknown key {key.value!r}; a section has {', '.join(KEYS)}"
            )
        if key.value != "texts" and (not isinstance(value, ScalarNode) or not value.value.strip()):
            raise CorpusError(f"{_place(path, value)}: {key.value} must be one word")
    label = fields["label"]
    if label.value not in AUTHORED_LABELS:
        known = ", ".join(AUTHORED_LABELS)
        raise CorpusError(f"{_place(path, label)}: unknown label {label.value!r}; one of {known}")
    if not isinstance(fields["texts"], SequenceNode) or not fields["texts"].value:
        raise CorpusError(f"{_place(path, fields['texts'])}: texts must be a list of at least one text")
    for node in fields["texts"].value:
        if not isinstance(node, ScalarNode) or not node.value.strip():
            raise CorpusError(f"{_place(path, node)}: expected a text; quote it if it holds a colon")
        yield (
            _place(path, node),
            Record(
                text=node.value,
                label=label.value,
                source=SOURCE,
                family=fields["kind"].value,
                transform=NO_TRANSFORM,
                parent_id=parent_of(SOURCE, node.value),
                language=fields["language"].value,
            ),
        )


def _place(path: Path, node: Node) -> str:
    return f"{path}:{node.start_mark.line + 1}"
