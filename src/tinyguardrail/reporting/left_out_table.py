"""Guards without one family of disguises beside the reference: the table, and what the prose says of it."""

from __future__ import annotations

from collections.abc import Iterator

from tinyguardrail.evaluation.evaluate import Results
from tinyguardrail.evaluation.leave_one_out import ALL, READINGS, SIDES
from tinyguardrail.evaluation.summary import Summary
from tinyguardrail.reporting.table import Table
from tinyguardrail.reporting.text import kind_of, number, readable, with_interval


def left_out_table(results: Results) -> Table:
    """Two rows per family, one for each way of reading; the last two are of all families' rows."""
    rows = []
    for family in _families(results):
        for reading in READINGS:
            found = results.systems["leave_one_out"][f"{family}_{reading}"]
            title = "all rows" if family == ALL else readable(family)
            cells = (cell for metric in SIDES for cell in _side(found, metric))
            rows.append((title if reading == READINGS[0] else "", reading, *cells))
    header = ["Left out", "Text"]
    for title in ("Recall", "False pos."):
        header += [title, "Seen", "Change, points", "p"]
    caption = (
        "Guards trained without one family of disguises, on its test rows and their benign twins; "
        "\u201cseen\u201d is a guard trained on as many rows with all families. p by exchange of parents, "
        "adjusted over families."
    )
    return Table("leave_one_out", caption, tuple(header), rows)


def families_that_changed(results: Results) -> dict[str, dict[str, list[str]]]:
    """By reading: families of which fewer, and of which more, threats are blocked where they were left out.

    Only changes that stay significant after Holm's method.
    """
    changed = {}
    for reading in READINGS:
        changes = {
            readable(family): results.systems["leave_one_out"][f"{family}_{reading}"]["recall_change"]
            for family in _families(results)
            if family != ALL
        }
        clear = {name: each.mean for name, each in changes.items() if each.extra["significant"]}
        changed[reading] = {
            "fewer": [name for name, change in clear.items() if change < 0],
            "more": [name for name, change in clear.items() if change > 0],
        }
    return changed


def _families(results: Results) -> list[str]:
    ending = f"_{READINGS[0]}"
    tests = results.systems["leave_one_out"]
    return [name.removesuffix(ending) for name in tests if name.endswith(ending)]


def _side(found: dict[str, Summary], metric: str) -> Iterator[str]:
    change = found[f"{metric}_change"]
    yield with_interval(found[metric], kind_of(metric))
    yield number(found[f"reference_{metric}"].mean, kind_of(metric))
    yield with_interval(change, "points").replace(" points", "")
    yield number(change.extra["p_holm"], "p_value")
