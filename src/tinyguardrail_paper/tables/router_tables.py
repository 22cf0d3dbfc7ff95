"""The router in tables: against other choices of rows, by group of rows, and under evasion."""

from tinyguardrail.data.labels import BENIGN
from tinyguardrail_paper.analysis.evaluate import Results
from tinyguardrail_paper.analysis.suites import title as suite_title
from tinyguardrail_paper.tables.formatting import GUARDS, NOTHING, mean, number, readable, with_interval
from tinyguardrail_paper.tables.table import Rows, declare

CHOICES = ("random", "early_exit", "early_exit_equal_share", "oracle")


@declare(
    "router_comparison",
    "The learned router and other choices of as many rows, each calibrated on its own validation rows: "
    "all test rows, AUC on plain ones. Early exit costs what the router does.",
    "Goes deep by | Deep | Accuracy | Macro F1 | AUC | Recall | False pos. | "
    "Learned less this, accuracy | p (Holm)",
)
def router_comparison(results: Results) -> Rows:
    p_values = {
        (each["b"], each["metric"]): each["p_holm"]
        for each in results.significance
        if each["method"] == "randomisation"
    }
    rows = [("learned router", *_levels(results, "guard"), NOTHING, NOTHING)]
    for choice in CHOICES:
        system = f"guard_{choice}"
        gap = results.look_up(("guard", "equal_share", f"accuracy_gap_to_{choice}"))
        p = p_values.get((system, "accuracy"))
        shown = number(p, "p_value") if p is not None else NOTHING
        rows.append((GUARDS[system], *_levels(results, system), with_interval(gap), shown))
    return rows


def _levels(results: Results, system: str) -> list[str]:
    metrics = ("deep_share", "accuracy", "macro_f1", "auc", "recall", "false_positive_rate")
    return [mean(results.look_up((system, "equal_share", metric))) for metric in metrics]


@declare(
    "router_groups",
    "Where the router sends what: test rows by intent and by attack, validation rows by epoch.",
    " | Rows | Deep | Score: lowest tenth / median / highest tenth",
)
def router_groups(results: Results) -> Rows:
    """Intents, attacks with their controls, and epochs; families stand in the long table alone."""
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
    return rows


def _title(record: dict) -> str:
    if record["group"] == "epoch":
        return f"after epoch {record['name']}"
    if record["group"] == "attack":
        side = "controls" if record["intent"] == BENIGN else record["intent"]
        return f"{suite_title(record['name'])}, {side}"
    return readable(record["name"])


@declare(
    "evasion",
    "Attacks wrapped in harmless text until the router sends them to the fast branch.",
    "Attacks | As they are | After the search | Change",
)
def evasion(results: Results) -> Rows:
    found = results.systems["guard"]["evasion"]
    rows = []
    for title, prefix, change in (
        ("Sent to the deep branch", "deep_share", None),
        ("Blocked by the routed guard", "recall", "recall_change"),
        ("Blocked by the deep branch alone", "always_deep_recall", "always_deep_recall_change"),
    ):
        cells = (with_interval(found[f"{prefix}_{moment}"]) for moment in ("before", "after"))
        rows.append((title, *cells, with_interval(found[change]) if change else NOTHING))
    excess = with_interval(found["excess_recall_change"])
    rows.append(("Cost of the route: the one change less the other", NOTHING, NOTHING, excess))
    return rows
