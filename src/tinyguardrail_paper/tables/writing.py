"""Tables as files: CSV, booktabs LaTeX, and the long raw tables behind them."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tinyguardrail.data.labels import INTENTS
from tinyguardrail_common.files import write_text
from tinyguardrail_paper.analysis.evaluate import Results
from tinyguardrail_paper.analysis.summary import rounded
from tinyguardrail_paper.tables.formatting import MINUS
from tinyguardrail_paper.tables.table import Table


def write_tables(folder: Path, tables: Sequence[Table], results: Results) -> None:
    """Each table as CSV and LaTeX, and the long raw tables behind them as CSV."""
    for table in tables:
        write_csv(folder / f"{table.name}.csv", table.header, table.rows)
        write_text(folder / f"{table.name}.tex", booktabs(table))
    for name, records in _long_tables(results).items():
        write_csv(folder / f"{name}.csv", list(records[0]), [list(each.values()) for each in records])


def _long_tables(results: Results) -> dict[str, list[dict[str, Any]]]:
    means, seeds = [], []
    for system, tests in results.systems.items():
        for test, found in tests.items():
            for metric, summary in found.items():
                key = {"system": system, "test": test, "metric": metric}
                record = summary.as_json()
                low, high = record["ci95"] or (None, None)
                means.append(key | {"mean": record["mean"], "std": record["std"], "low": low, "high": high})
                means[-1] |= {"n": record["n"]}
                seeds += [
                    key | {"seed": seed, "value": rounded(value)}
                    for seed, value in zip(summary.seeds, summary.values, strict=True)
                ]
    counts = [
        {"actual": INTENTS[i], "predicted": INTENTS[j], "rows": int(n)}
        for i, row in enumerate(results.confusion)
        for j, n in enumerate(row)
    ]
    return {
        "all_metrics": means,
        "all_seeds": seeds,
        "all_tests": [_plain(each) for each in results.significance],
        "confusion": counts,
        "families": [_plain(each) for each in results.families],
        "router_distribution": [_plain(each) for each in results.router_distribution],
    }


def _plain(record: dict[str, Any]) -> dict[str, Any]:
    """Six significant digits: p-values may be far smaller than any fixed number of decimals."""
    return {
        key: float(f"{value:.6g}") if isinstance(value, float) else value for key, value in record.items()
    }


def write_csv(path: Path, header: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """A CSV file with line feeds; None is an empty cell."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    write_text(path, text.getvalue())


_LATEX = {
    "%": r"\%",
    "&": r"\&",
    "_": r"\_",
    "#": r"\#",
    "<": "$<$",
    ">": "$>$",
    "\u2248": r"$\approx$",
    "\u2020": r"\dag",
    "\u2265": r"$\ge$",
    "\u2264": r"$\le$",
    MINUS: "$-$",
    "\u00b1": r"$\pm$",
    "\u2013": "--",
    "\u2014": "---",
}


def booktabs(table: Table) -> str:
    """A `tabular` with booktabs rules: text columns left, the others right."""

    def line(cells: Sequence[str]) -> str:
        escaped = ("".join(_LATEX.get(character, character) for character in cell) for cell in cells)
        return " & ".join(escaped) + r" \\"

    body = "\n".join(line(row) for row in table.rows)
    columns = "l" + "r" * (len(table.header) - 1)
    return (
        f"% {table.caption}\n\\begin{{tabular}}{{{columns}}}\n\\toprule\n{line(table.header)}\n"
        f"\\midrule\n{body}\n\\bottomrule\n\\end{{tabular}}\n"
    )
