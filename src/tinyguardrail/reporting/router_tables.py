"""The router in tables: against other choices of rows, by group of rows, and under evasion."""

from __future__ import annotations

from tinyguardrail.data.records import BENIGN
from tinyguardrail.evaluation.evaluate import Results
from tinyguardrail.reporting.table import Table
from tinyguardrail.reporting.targets import look_up
from tinyguardrail.reporting.text import kind_of, number, readable, with_interval

NOTHING = "\u2014"
CHOICES = (
    "guard",
    "guard_random",
    "guard_early_exit",
    "guard_early_exit_equal_share",
    "guard_oracle",
)


def router_tables(results: Results) -> list[Table]:
    return [_comparison(results), _groups(results), _evasion(results)]


def _comparison(results: Results) -> Table:
    metrics = ("deep_share", "accuracy", "macro_f1", "auc", "recall", "false_positive_rate")
    p_values = {
        (each["b"], each["metric"]): each["p_holm"]
        for each in results.significance
        if each["method"] == "randomisation"
    }
    rows = []
    for choice in CHOICES:
        found = [look_up(results, (choice, "equal_share", metric)) for metric in metrics]
        cells = [number(each.mean, kind_of(name)) for name, each in zip(metrics, found, strict=True)]
        gap_name = f"accuracy_gap_to_{choice.removeprefix('guard_')}"
        gap = look_up(results, ("guard", "equal_share", gap_name))
        p = p_values.get((choice, "accuracy"))
        rows.append(
            (
                "learned router" if choice == "guard" else readable(choice),
                *cells,
                with_interval(gap, kind_of(gap_name)) if gap else NOTHING,
                number(p, "p_value") if p is not None else NOTHING,
            )
        )
    header = ("Goes deep by", "Deep", "Accuracy", "Macro F1", "AUC", "Recall", "False pos.")
    header += ("Learned less this, accuracy", "p (Holm)")
    caption = (
        "The learned router and other choices of as many rows, each calibrated on its own validation rows: "
        "all test rows, AUC on plain ones. Early exit runs the fast branch first on every text."
    )
    return Table("router_comparison", caption, header, rows)


def _groups(results: Results) -> Table:
    """Labels, attacks with their controls, and epochs; families stand in the long table alone."""
    rows = []
    for each in results.router_distribution:
        if each["group"] == "family":
            continue
        quantiles = (number(each[f"score_p{q}"], "probability") for q in (10, 50, 90))
        rows.append(
            (
                _title(each),
                f"{each['rows']:,}" if each["rows"] else NOTHING,
                number(each["deep_share"], "percent"),
                " / ".join(quantiles) if each["score_p50"] is not None else NOTHING,
            )
        )
    header = ("", "Rows", "Deep", "Score: lowest tenth / median / highest tenth")
    caption = "Where the router sends what: test rows by label and by disguise, validation rows by epoch."
    return Table("router_groups", caption, header, rows)


def _title(record: dict) -> str:
    if record["group"] == "epoch":
        return f"after epoch {record['name']}"
    if record["group"] == "attack":
        side = "controls" if record["label"] == BENIGN else "attacks"
        return f"{readable(record['name'])}, {side}"
    return readable(record["name"])


def _evasion(results: Results) -> Table:
    found = results.systems["guard"]["evasion"]
    rows = []
    for title, prefix, change in (
        ("Sent to the deep branch", "deep_share", None),
        ("Blocked by the routed guard", "recall", "recall_change"),
        ("Blocked by the deep branch alone", "always_deep_recall", "always_deep_recall_change"),
    ):
        cells = (with_interval(found[f"{prefix}_{moment}"], "percent") for moment in ("before", "after"))
        rows.append((title, *cells, with_interval(found[change], "points") if change else NOTHING))
    excess = with_interval(found["excess_recall_change"], "points")
    rows.append(("Cost of the route: the one change less the other", NOTHING, NOTHING, excess))
    header = ("Attacks", "As they are", "After the search", "Change")
    caption = "Attacks wrapped in harmless text until the router sends them to the fast branch."
    return Table("evasion", caption, header, rows)
