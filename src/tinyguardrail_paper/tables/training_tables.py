"""Guards trained without a family of attacks, or with one part of training changed: tables and prose."""

from collections.abc import Iterator

from tinyguardrail_paper.analysis.evaluate import Results
from tinyguardrail_paper.analysis.leave_one_out import ALL, SIDES
from tinyguardrail_paper.analysis.suites import title as suite_title
from tinyguardrail_paper.analysis.summary import Summary
from tinyguardrail_paper.scores.score_table import READINGS
from tinyguardrail_paper.tables.formatting import NOTHING, mean, number, with_interval, without_unit
from tinyguardrail_paper.tables.table import Rows, declare

TITLES = {
    "cross_entropy": "cross-entropy for focal loss",
    "no_threat_loss": "no loss of threat or not",
    "no_router_loss": "no router loss",
    "no_ratio_loss": "no ratio loss",
    "no_balance_loss": "no balance of experts",
    "energy_loss": "energy loss added",
    "adversarial": "attacked embeddings added",
    "quantization_aware": "INT8 weights in training",
}


@declare(
    "leave_one_out",
    "Guards trained without one family of attacks, on its test rows and their matched controls; "
    "\u201cseen\u201d is a guard trained on as many rows with all families. p by exchange of parents, "
    "adjusted over families.",
    "Held out | Text | Recall | Seen | Change, points | p | False pos. | Seen | Change, points | p",
)
def leave_one_out(results: Results) -> Rows:
    """Two rows per family, one for each way of reading; the last two are of all families' rows."""
    rows = []
    for family in [*results.held_out_families, ALL]:
        for reading in READINGS:
            found = results.systems["leave_one_out"][f"{family}_{reading}"]
            title = "all rows" if family == ALL else suite_title(family)
            cells = (cell for metric in SIDES for cell in _side(found, metric))
            rows.append((title if reading == READINGS[0] else "", reading, *cells))
    return rows


def families_that_changed(results: Results) -> dict[str, dict[str, list[str]]]:
    """By reading: families of which fewer, and of which more, threats are blocked where they were held out.

    Only changes that stay significant after Holm's method.
    """
    changed = {}
    for reading in READINGS:
        changes = {
            suite_title(family): results.systems["leave_one_out"][f"{family}_{reading}"]["recall_change"]
            for family in results.held_out_families
        }
        fewer, more = _significant(changes)
        changed[reading] = {"fewer": fewer, "more": more}
    return changed


def _side(found: dict[str, Summary], metric: str) -> Iterator[str]:
    yield with_interval(found[metric])
    yield mean(found[f"reference_{metric}"])
    yield from _change(found[f"{metric}_change"])


@declare(
    "ablation",
    lambda results: (
        f"Guards trained with one part changed, on {_reference(results)['auc'].n:,} test rows read raw. "
        "Changes are against the reference, p by exchange of parents, adjusted over arms; routing gains "
        "over as many rows sent deep by chance."
    ),
    "Training | AUC | Change | p | Accuracy | Change, points | p | Fast | Deep | "
    "Gain of routing, points | INT8, same intent",
)
def ablation(results: Results) -> Rows:
    """One row per arm, the reference first."""
    rows = []
    for arm, found in results.systems["ablation"].items():
        rows.append(
            (
                _title(arm),
                mean(found["auc"]),
                *_change(found.get("auc_change")),
                mean(found["accuracy"]),
                *_change(found.get("accuracy_change")),
                mean(found["accuracy_fast"]),
                mean(found["accuracy_deep"]),
                without_unit(found["routing_gain"]),
                mean(found["int8_same_intent"]),
            )
        )
    return rows


def _reference(results: Results) -> dict[str, Summary]:
    return next(iter(results.systems["ablation"].values()))


def arms_that_differ(results: Results) -> dict[str, list[str]]:
    """Arms whose accuracy is significantly better, and worse, than the reference's after Holm's method."""
    changes = {
        _title(arm): found["accuracy_change"]
        for arm, found in results.systems["ablation"].items()
        if "accuracy_change" in found
    }
    worse, better = _significant(changes)
    return {"better": better, "worse": worse}


def _significant(changes: dict[str, Summary]) -> tuple[list[str], list[str]]:
    """Names of the changes below zero, and above, that stay significant after Holm's method."""
    clear = {name: each.mean for name, each in changes.items() if each.extra["significant"]}
    below, above = ([name for name, change in clear.items() if sign * change > 0] for sign in (-1, 1))
    return below, above


def _change(summary: Summary | None) -> tuple[str, str]:
    """The change with its interval, and its p-value."""
    if summary is None:
        return NOTHING, NOTHING
    return without_unit(summary), number(summary.extra["p_holm"], "p_value")


def _title(arm: str) -> str:
    return TITLES.get(arm, arm.replace("_", " "))
