"""School exams in many languages."""

from collections.abc import Iterator, Sequence

from tinyguardrail.data.labels import BENIGN
from tinyguardrail.data.records import Record
from tinyguardrail.sources.reading import InputFile, rows_of
from tinyguardrail.sources.source import SourceError

CUE = "\nAnswer:"  # what the benchmark adds to each question; left there, it would mark a text as benign


def exams(files: Sequence[InputFile]) -> Iterator[Record]:
    """EXAMS (2011.03080) as samples of openai/evals: a question and its choices, without `CUE`.

    The system message before them is the same in every row, and not read.
    """
    for file, row in rows_of(files):
        question = list(row.rows("input"))[-1]
        if question.get("role") != "user":
            raise SourceError(f"{question.place}: role {question.get('role')!r} must be user")
        yield file.record(question.text("content").removesuffix(CUE), BENIGN, "exam_question")
