"""Parallel benign text in many languages, so that a language is no sign of an attack."""

from collections.abc import Iterator, Sequence

from tinyguardrail.data.labels import BENIGN
from tinyguardrail.data.records import Record
from tinyguardrail.sources.reading import InputFile
from tinyguardrail.sources.source import SourceError


def xquad(files: Sequence[InputFile]) -> Iterator[Record]:
    """XQuAD (1910.11856): paragraphs and questions; a paragraph is one parent in all languages.

    The first question's id names the paragraph, because ids are the same in every language.
    """
    for file in files:
        for document in file.json().rows("data"):
            for paragraph in document.rows("paragraphs"):
                questions = list(paragraph.rows("qas"))
                parent = f"{file.source}/{questions[0].get('id')}"
                yield file.record(paragraph.text("context"), BENIGN, "paragraph", parent)
                for question in questions:
                    yield file.record(question.text("question"), BENIGN, "question", parent)


def ud_pud(files: Sequence[InputFile]) -> Iterator[Record]:
    """Parallel Universal Dependencies: the `# text` of each sentence, parallel by `# sent_id`."""
    for file in files:
        sentence = ""
        for number, line in enumerate(file.text().splitlines(), 1):
            key, _, value = line.partition(" = ")
            if key == "# sent_id":
                sentence = value.strip()
            elif key == "# text":
                if not sentence:
                    raise SourceError(f"{file.place}: line {number}: text without a sent_id before it")
                yield file.record(value, BENIGN, "sentence", f"{file.source}/{sentence}")
                sentence = ""
