"""Guards with one part of training changed: the table, and what the prose says of it."""

from __future__ import annotations

from tinyguardrail.evaluation.ablation_arms import REFERENCE
from tinyguardrail.evaluation.evaluate import Results
from tinyguardrail.evaluation.summary import Summary
from tinyguardrail.reporting.table import Table
from tinyguardrail.reporting.text import number, with_interval

TITLES = {
    REFERENCE: "reference",
    "cross_entropy": "cross-entropy for focal loss",
    "no_threat_loss": "no loss of threat or not",
    "no_router_loss": "no router loss",
    "no_ratio_loss": "no ratio loss",
    "no_balance_loss": "no balance of experts",
    "energy_loss": "energy loss added",
    "adversarial": "attacked embeddings added",
    "quantization_aware": "INT8 weights in training",
}
NOTHING = "\u2014"


def ablation_table(results: Results) -> Table:
    """One row per arm, the reference first."""
    rows = []
    for arm, found in results.systems["ablation"].items():
        rows.append(
            (
                TITLES[arm],
                number(found["auc"].mean, "probability"),
                *_change(found.get("auc_change"), "difference"),
                number(found["accuracy"].mean, "percent"),
                *_change(found.get("accuracy_change"), "points"),
                number(found["accuracy_fast"].mean, "percent"),
                number(found["accuracy_deep"].mean, "percent"),
                with_interval(found["routing_gain"], "points").replace(" points", ""),
                number(found["int8_same_label"].mean, "percent"),
            )
        )
    reference = results.systems["ablation"][REFERENCE]
    header = ("Training", "AUC", "Change", "p", "Accuracy", "Change, points", "p", "Fast", "Deep")
    header += ("Gain of routing, points", "INT8, same label")
    caption = (
        f"Guards trained with one part changed, on {reference['auc'].n:,} test rows read raw. Changes are "
        "against the reference, p by exchange of parents, adjusted over arms; routing gains over as many "
        "rows sent deep by chance."
    )
    return Table("ablation", caption, header, rows)


def arms_that_differ(results: Results) -> dict[str, list[str]]:
    """Arms whose accuracy is significantly better, and worse, than the reference's after Holm's method."""
    changes = {
        TITLES[arm]: found["accuracy_change"]
        for arm, found in results.systems["ablation"].items()
        if arm != REFERENCE
    }
    clear = {name: each.mean for name, each in changes.items() if each.extra["significant"]}
    return {
        "better": [name for name, change in clear.items() if change > 0],
        "worse": [name for name, change in clear.items() if change < 0],
    }


def _change(summary: Summary | None, kind: str) -> tuple[str, str]:
    if summary is None:
        return NOTHING, NOTHING
    shown = with_interval(summary, kind).replace(" points", "")
    return shown, number(summary.extra["p_holm"], "p_value")
