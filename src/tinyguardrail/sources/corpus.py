"""Reader of the authored corpus: YAML files of sections that a person can extend.

A section says `kind`, `label` and `language` once and lists its `texts`. Everything wrong
is reported as file:line.
"""

from collections.abc import Iterator
from pathlib import Path

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from tinyguardrail.data.labels import LABEL_OF_INTENT
from tinyguardrail.data.records import NO_TRANSFORM, Record, parent_of
from tinyguardrail.sources.cleaning import PUBLIC_LABELS
from tinyguardrail.sources.reading import read_text
from tinyguardrail.sources.source import SourceError
from tinyguardrail_common.progress import progress

SOURCE = "authored"
KEYS = ("kind", "label", "language", "texts")


def read_corpus(folder: Path) -> list[Record]:
    """All texts of all `*.yaml` files, in file-name and file order.

    Raises:
        SourceError: no file, bad YAML, a missing or unknown key, an unknown label, an empty
            or repeated text; the message names file and line.
    """
    records: list[Record] = []
    places: dict[str, str] = {}
    for path in progress(corpus_files(folder), "authored corpus"):
        for place, record in _read_file(path):
            if record.text in places:
                raise SourceError(f"{place}: this text stands at {places[record.text]} already; remove one")
            places[record.text] = place
            records.append(record)
    return records


def corpus_files(folder: Path) -> list[Path]:
    """The `*.yaml` files of a folder of the corpus; none is a `SourceError`."""
    files = sorted(folder.glob("*.yaml"))
    if not files:
        raise SourceError(f"{folder}: no *.yaml file; check out data/corpus again")
    return files


def authored_row(text: str, intent: str, family: str, language: str, parent: str) -> Record:
    """A row made of what people wrote for this project; `parent` is the text that it is made of."""
    label, parent_id = LABEL_OF_INTENT[intent], parent_of(SOURCE, parent)
    return Record(text, label, SOURCE, family, NO_TRANSFORM, parent_id, language, intent=intent)


def _read_file(path: Path) -> Iterator[tuple[str, Record]]:
    try:
        root = YAML(typ="safe", pure=True).compose(read_text(path, str(path)))
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        raise SourceError(
            f"{path}:{line}: bad YAML: {error.problem}; quote the text or use a |- block"
        ) from None
    if not isinstance(root, SequenceNode):
        raise SourceError(f"{path}:1: expected a list of sections, each with {', '.join(KEYS)}")
    for section in root.value:
        yield from _read_section(path, section)


def _read_section(path: Path, section: Node) -> Iterator[tuple[str, Record]]:
    place = _place(path, section)
    if not isinstance(section, MappingNode):
        raise SourceError(f"{place}: expected a section with {', '.join(KEYS)}")
    fields = {key.value: value for key, value in section.value}
    for key in KEYS:
        if key not in fields:
            raise SourceError(f"{place}: section has no {key}; it needs {', '.join(KEYS)}")
    for key, value in section.value:
        if key.value not in KEYS:
            raise SourceError(
                f"{_place(path, key)}: unknown key {key.value!r}; a section has {', '.join(KEYS)}"
            )
        if key.value != "texts" and (not isinstance(value, ScalarNode) or not value.value.strip()):
            raise SourceError(f"{_place(path, value)}: {key.value} must be one word")
    label = fields["label"]
    if label.value not in PUBLIC_LABELS:
        known = ", ".join(PUBLIC_LABELS)
        raise SourceError(f"{_place(path, label)}: unknown label {label.value!r}; one of {known}")
    if not isinstance(fields["texts"], SequenceNode) or not fields["texts"].value:
        raise SourceError(f"{_place(path, fields['texts'])}: texts must be a list of at least one text")
    for node in fields["texts"].value:
        if not isinstance(node, ScalarNode) or not node.value.strip():
            raise SourceError(f"{_place(path, node)}: expected a text; quote it if it holds a colon")
        yield _place(path, node), _text_row(node.value, *(fields[key].value for key in KEYS[:-1]))


def _text_row(text: str, family: str, label: str, language: str) -> Record:
    """A text as it stands; what it is after is said by the registry, as of every source."""
    return Record(text, label, SOURCE, family, NO_TRANSFORM, parent_of(SOURCE, text), language)


def _place(path: Path, node: Node) -> str:
    return f"{path}:{node.start_mark.line + 1}"
