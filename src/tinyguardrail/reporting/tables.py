"""Tables: built once as rows of text, written as CSV and as booktabs LaTeX, and put into the paper."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tinyguardrail.data.records import LABELS
from tinyguardrail.evaluation.evaluate import Results
from tinyguardrail.evaluation.suites import HARD_NEGATIVES
from tinyguardrail.evaluation.summary import Summary, rounded
from tinyguardrail.files import write_text
from tinyguardrail.reporting.ablation_table import ablation_table
from tinyguardrail.reporting.bars import bars_table
from tinyguardrail.reporting.data_tables import data_tables
from tinyguardrail.reporting.left_out_table import left_out_table
from tinyguardrail.reporting.public import public_table
from tinyguardrail.reporting.router_tables import router_tables
from tinyguardrail.reporting.table import Table
from tinyguardrail.reporting.targets import TARGETS, judge, look_up
from tinyguardrail.reporting.text import (
    MINUS,
    family_of,
    interval,
    kind_of,
    number,
    readable,
    variant_title,
    with_interval,
)
from tinyguardrail.reporting.var_tables import var_tables

FEWEST_ROWS = 16  # of attacks: a variant with fewer stands in results/metrics.json alone
ARMS = ("guard", "guard_always_fast", "guard_always_deep")


def build_tables(results: Results, data_card: dict[str, Any]) -> list[Table]:
    tables = [
        _targets(results),
        _attacks(results),
        _disguises(results),
        left_out_table(results),
        ablation_table(results),
        bars_table(results),
        public_table(results),
        _arms(results),
        *router_tables(results),
        _calibration(results),
        _hard_negatives(results),
        _size(results),
        _int8(results),
        *var_tables(results),
        _significance(results),
        *data_tables(data_card),
    ]
    return [table for table in tables if table.rows]


def _targets(results: Results) -> Table:
    rows = []
    for target in TARGETS:
        row = judge(target, results)
        beside = f"{row['beside_title']}: {row['beside_value']}"
        rows.append((row["title"], row["required"], row["measured"], beside, row["verdict"]))
    header = ("Target", "Required", "Measured [95% interval]", "Beside it", "Verdict")
    return Table("targets", "What was aimed at and what was measured.", header, rows)


def shown_attacks(results: Results) -> list[str]:
    """Attack families with a control, and those of their variants that have rows enough to say something."""
    guard = results.systems["guard"]
    names = [name.removeprefix("control_") for name in guard if name.startswith("control_")]
    measured = [name for name in names if "recall" in guard.get(name, {})]
    return [
        name
        for name in measured
        if family_of(name, measured) is None or guard[name]["recall"].n >= FEWEST_ROWS
    ]


def _attacks(results: Results) -> Table:
    guard, rows, names = results.systems["guard"], [], shown_attacks(results)
    for name in names:
        attack, benign = guard[name], guard[f"control_{name}"]["false_positive_rate"]
        recall = attack["recall"]
        rows.append(
            (
                variant_title(name, names),
                f"{recall.n:,}",
                with_interval(recall, "percent"),
                f"{benign.n:,}",
                with_interval(benign, "percent"),
                with_interval(attack.get("auc"), "probability"),
            )
        )
    header = ("Transform", "Attacks", "Blocked attacks", "Controls", "Blocked controls", "AUC")
    caption = "Transformed attacks beside benign text put through the same transform."
    return Table("attacks", caption, header, rows)


def _disguises(results: Results) -> Table:
    found, rows = results.systems["guard"]["disguises"], []
    for name in (key.removeprefix("named_") for key in found if key.startswith("named_")):
        cells = (with_interval(found[f"{what}_{name}"], "percent") for what in ("found", "named"))
        rows.append((readable(name), f"{found[f'found_{name}'].n:,}", *cells))
    if plain := found.get("found_in_plain"):
        rows.append(("no disguise", f"{plain.n:,}", with_interval(plain, "percent"), "\u2014"))
    header = ("Disguise", "Rows", "Found [95% interval]", "Right family")
    return Table("disguises", "Disguises found before judging, in threats and controls alike.", header, rows)


def _arms(results: Results) -> Table:
    columns = (
        ("authored", "recall"),
        ("authored", "false_positive_rate"),
        ("trigger_words", "false_positive_rate"),
        ("flipattack", "recall"),
        ("control_flipattack", "false_positive_rate"),
        ("authored", "auc"),
        ("authored", "accuracy"),
        ("authored", "ece"),
    )
    rows = []
    for arm in ARMS:
        cells = [
            _plus_minus(look_up(results, (arm, test, metric)), kind_of(metric)) for test, metric in columns
        ]
        latency = f"{arm.removeprefix('guard').lstrip('_')}_p95_ms".lstrip("_")
        rows.append((readable(arm), *cells, _mean(look_up(results, ("guard", "latency", latency)), "ms")))
    header = (
        "Guard",
        "Recall",
        "False pos.",
        "Hard neg.",
        "FlipAttack",
        "its control",
        "AUC",
        "Accuracy",
        "ECE",
        "P95",
    )
    caption = "The routed guard and its two branches alone; mean and standard deviation over seeds."
    return Table("arms", caption, header, rows)


def _hard_negatives(results: Results) -> Table:
    rows = []
    for name, found in results.systems["guard"].items():
        if name.startswith(HARD_NEGATIVES):
            rate = found["false_positive_rate"]
            title = "all hard negatives" if name == "trigger_words" else readable(name)
            rows.append((title, f"{rate.n:,}", with_interval(rate, "percent")))
    header = ("Benign text", "Rows", "Blocked [95% interval]")
    return Table("hard_negatives", "False positives on benign text that resembles attacks.", header, rows)


def _size(results: Results) -> Table:
    size, rows = results.systems["guard"]["size"], []
    for name in (key.removesuffix("_size_mb") for key in size if key.endswith("_size_mb")):
        cells = (
            _mean(size[f"{name}_{field}"], kind_of(field))
            for field in ("size_mb", "label_agreement", "max_abs_difference")
        )
        rows.append((name, *cells))
    header = ("Precision", "Size", "Same label", "Largest gap")
    return Table("size", "Exported models against the trained one, on validation rows.", header, rows)


def _int8(results: Results) -> Table:
    found = results.systems["guard"]["int8_against_fp32"]
    titles = {
        "macro_f1_fp32": "Macro F1, fp32",
        "macro_f1_int8": "Macro F1, INT8",
        "macro_f1_gap_to_fp32": "Difference",
        "label_agreement": "Same label",
        "verdict_agreement": "Same verdict at the blocking threshold",
    }
    rows = [
        (title, number(found[name].mean, kind_of(name)), interval(found[name].interval, kind_of(name)))
        for name, title in titles.items()
    ]
    caption = (
        f"INT8 weights against fp32 ones, both under ONNX Runtime, on {found['label_agreement'].n:,} rows."
    )
    return Table("int8", caption, ("", "Mean", "95% interval"), rows)


def _calibration(results: Results) -> Table:
    found, rows = results.systems["guard"]["calibration"], []
    for title, name in (
        ("Calibration error, temperature one", "raw_ece"),
        ("Calibration error, fitted temperature", "ece"),
        ("Benign text blocked", "false_positive_rate"),
        ("\u2014 plain", "plain_false_positive_rate"),
        ("\u2014 disguised", "disguised_false_positive_rate"),
    ):
        summaries = (found.get(f"{split}_{name}") for split in ("validation", "test"))
        rows.append((title, *(with_interval(each, kind_of(name)) for each in summaries)))
    header = ("", "Validation rows", "Test rows")
    caption = (
        "Calibration of all rows, disguised ones included: fitted on validation rows, kept on test rows."
    )
    return Table("calibration", caption, header, rows)


def _significance(results: Results) -> Table:
    titles = {"randomisation": "randomisation", "paired_t": "paired t, seeds"}
    rows = []
    for each in results.significance:
        if each["method"] not in titles:
            continue
        metric = "AUC" if each["metric"] == "auc" else each["metric"]
        difference = f"{each['difference']:+.4f}".replace("-", MINUS)
        p = number(each["p_holm"], "p_value") if each["p"] is not None else "\u2014"
        rows.append((readable(each["b"]), metric, titles[each["method"]], difference, p))
    header = ("Against", "Metric", "Test", "Difference", "p (Holm)")
    return Table(
        "significance",
        "The routed guard less each branch alone, and less other choices of as many rows.",
        header,
        rows,
    )


def _mean(summary: Summary | None, kind: str) -> str:
    return number(summary.mean if summary else None, kind)


def _plus_minus(summary: Summary | None, kind: str) -> str:
    std = summary.as_json()["std"] if summary else None
    spread = f" \u00b1 {number(std, kind).rstrip('%')}" if std is not None else ""
    return f"{_mean(summary, kind)}{spread}"


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
        {"actual": LABELS[i], "predicted": LABELS[j], "rows": int(n)}
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
