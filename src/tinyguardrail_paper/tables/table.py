"""A table of the paper: declared once, built once as rows of text, and handed to every format."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tinyguardrail_common.discovery import known
from tinyguardrail_paper.settings import paths

RESULTS, DATA_CARD = paths.METRICS.name, paths.DATA_CARD.name  # what a table may need

Rows = list[tuple[str, ...]]


@dataclass(frozen=True)
class Table:
    """Every cell is text; `source` is the results file that the table shows."""

    name: str
    caption: str
    header: tuple[str, ...]
    rows: Rows
    source: str = RESULTS


@dataclass(frozen=True)
class Declaration:
    """A table before there are results; its caption may depend on them too."""

    name: str
    caption: str | Callable[[Any], str]
    header: tuple[str, ...]
    needs: str
    rows: Callable[[Any], Rows]

    def build(self, sources: Mapping[str, Any]) -> Table:
        """`sources` has the content of each results file that tables need."""
        content = sources[self.needs]
        caption = self.caption(content) if callable(self.caption) else self.caption
        return Table(self.name, caption, self.header, self.rows(content), self.needs)


def declare(
    name: str, caption: str | Callable[[Any], str], header: str, needs: str = RESULTS
) -> Callable[[Callable[[Any], Rows]], Declaration]:
    """Turn a function that makes rows into the declaration of their table; `|` parts cells of `header`."""
    return lambda rows: Declaration(name, caption, tuple(header.split(" | ")), needs, rows)


def table_named(tables: Sequence[Table], name: str) -> Table:
    """Of those that were built; a `UserError` names the known ones."""
    return known({table.name: table for table in tables}, name, "table")
