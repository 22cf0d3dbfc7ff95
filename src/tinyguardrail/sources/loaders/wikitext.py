"""WikiText-2 (1609.07843) for language models: lines joined into articles, the splits as published."""

import re
from collections.abc import Iterator, Sequence

from tinyguardrail.data.labels import BENIGN
from tinyguardrail.data.records import Record
from tinyguardrail.sources.reading import InputFile

# A title stands between blank lines; " = = Section = = " is a heading inside an article, and lines such
# as " = Played , W = " in tables are no titles.
_TITLE = re.compile(r"(?<=\n)[ \t]*\r?\n = [^=\n]+ = \r?\n(?=[ \t]*\r?\n)")


def wikitext(files: Sequence[InputFile]) -> Iterator[Record]:
    """Articles in file order, unchanged: joined they give the file back."""
    for file in files:
        text = "\n" + file.text()
        starts = [match.start() for match in _TITLE.finditer(text)] or [1]
        for number, (start, end) in enumerate(zip([1, *starts[1:]], [*starts[1:], len(text)], strict=True)):
            parent = f"{file.source}/{file.role}/{number}"
            article = file.record(text[start:end], BENIGN, "article", parent)
            yield article._replace(split=file.role)
