"""Clean documents of the kinds that services and people send: mails, tables, notes, logs, answers.

They stand as benign rows, and compositions plant things in them. A template is the parent of all
documents made from it.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from random import Random

from tinyguardrail.data.labels import BENIGN
from tinyguardrail.data.records import Record
from tinyguardrail.sources.corpus import authored_row
from tinyguardrail.synthesis.entries import Documents, Table, Template
from tinyguardrail.synthesis.grammar import Grammar
from tinyguardrail.synthesis.slots import fill, some_dates
from tinyguardrail.synthesis.splits import check_pool, distinct

VARIANTS = 64  # of a template: more would repeat it
TABLE_ROWS = (4, 9)
Make = Callable[[Random], str]


def sampled_documents(grammar: Grammar, wanted: int, seed: int) -> Iterator[Record]:
    """`wanted` different documents, of every template equally many.

    Raises:
        SplitError: the templates give fewer; the setting is named.
    """
    rng = Random(f"{seed}:documents")
    templates = list(_templates(grammar))
    drawn = (
        [authored_row(make(rng), BENIGN, family, language, key)]
        for _ in range(VARIANTS)
        for language, family, key, make in rng.sample(templates, len(templates))
    )
    check_pool("documents", wanted, (yield from distinct(drawn, wanted)))


def _templates(grammar: Grammar) -> Iterator[tuple[str, str, str, Make]]:
    """Language, family, what names the template, and what makes a document of it."""
    for entry in grammar.documents:
        values = grammar.slots[entry.language]
        if isinstance(entry, Documents):
            for each in entry.documents:
                key = f"{each.title}\n{each.body}"
                yield entry.language, entry.family, key, partial(_letter, entry.layouts, each, values)
        else:
            for table in entry.tables:
                key = f"{table.title}\n{','.join(table.columns)}"
                yield entry.language, entry.family, key, partial(_table, table, values)


def _letter(
    layouts: Sequence[str], template: Template, values: Mapping[str, Sequence[str]], rng: Random
) -> str:
    text = rng.choice(layouts)
    for name in ("title", "sender", "body"):
        text = text.replace(f"<<{name}>>", getattr(template, name))
    return fill(text, values, some_dates(rng), rng)


def _table(table: Table, values: Mapping[str, Sequence[str]], rng: Random) -> str:
    """A table under its title or bare, as Markdown, CSV or with tabs; no two rows start alike."""
    rows: dict[str, list[str]] = {}
    dates = some_dates(rng)
    for _ in range(rng.randint(*TABLE_ROWS)):
        cells = fill("\t".join(table.columns.values()), values, dates, rng).split("\t")
        rows.setdefault(cells[0], cells)
    lines = [list(table.columns), *rows.values()]
    style = rng.randrange(4)
    if style < 2:
        text = "\n".join(",\t"[style].join(cells) for cells in lines)
    else:
        lines.insert(1, ["---"] * len(table.columns))
        text = "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
    return rng.choice((f"{table.title}\n\n{text}", f"## {table.title}\n{text}", text))
