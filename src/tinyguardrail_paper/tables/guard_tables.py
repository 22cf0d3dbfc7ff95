"""Tables of the guard: what it blocks, its branches, its calibration, and its exported models."""

from tinyguardrail_paper.analysis.efficiency import PRECISION_FORMATS, PRECISIONS
from tinyguardrail_paper.analysis.evaluate import Results
from tinyguardrail_paper.analysis.policies import SYSTEMS
from tinyguardrail_paper.analysis.suites import title as suite_title
from tinyguardrail_paper.analysis.suites.hard_negatives import NAME as HARD_NEGATIVES
from tinyguardrail_paper.analysis.suites.obfuscation import GROUP as ATTACKS
from tinyguardrail_paper.analysis.suites.suite import Suite
from tinyguardrail_paper.analysis.summary import Summary
from tinyguardrail_paper.tables.formatting import (
    GUARDS,
    MINUS,
    NOTHING,
    interval,
    mean,
    number,
    variant_title,
    with_interval,
    without_unit,
)
from tinyguardrail_paper.tables.policy_columns import NARROWER, by_policy
from tinyguardrail_paper.tables.table import Rows, declare

FEWEST_ROWS = 16  # of attacks: a variant with fewer stands in results/metrics.json alone
ARMS = {  # system -> its latency
    "guard": "p95_ms",
    "guard_always_fast": "always_fast_p95_ms",
    "guard_always_deep": "always_deep_p95_ms",
}


def shown_attacks(results: Results) -> list[Suite]:
    """Attack families with a control, and those of their variants that have rows enough to say something."""
    guard = results.systems["guard"]
    return [
        attack
        for attack in results.attacks()
        if attack.part_of is None or guard[attack.name]["recall"].n >= FEWEST_ROWS
    ]


@declare(
    "attacks",
    "Transformed attacks beside benign text put through the same transform.",
    "Transform | Attacks | Blocked attacks | Controls | Blocked controls | AUC",
)
def attacks(results: Results) -> Rows:
    guard, rows = results.systems["guard"], []
    for suite in shown_attacks(results):
        attack, benign = guard[suite.name], results.control(suite)
        recall = attack["recall"]
        rows.append(
            (
                variant_title(suite),
                f"{recall.n:,}",
                with_interval(recall),
                f"{benign.n:,}",
                with_interval(benign),
                with_interval(attack.get("auc")),
            )
        )
    return rows


@declare(
    "policies",
    "The routed guard under each policy: a policy's threats against benign text, all of it untransformed.",
    "Policy | Threshold | Recall [95% interval] | False positives [95% interval] | Hard negatives | AUC",
)
def policies(results: Results) -> Rows:
    rows = []
    for name, system in SYSTEMS.items():
        found = results.systems[system]
        plain = (found["plain"].get(metric) for metric in ("recall", "false_positive_rate"))
        hard = results.look_up((system, HARD_NEGATIVES, "false_positive_rate"))
        cells = (*map(with_interval, plain), mean(hard), mean(found["plain"].get("auc")))
        rows.append((name, mean(found["calibration"]["block_threshold"]), *cells))
    return rows


@declare(
    "in_the_clear",
    "Obfuscated test rows beside the same texts in the clear.",
    "Family | Pairs | Recall in the clear | Disguised over clear | Controls less the clear, points",
)
def in_the_clear(results: Results) -> Rows:
    rows = []
    for suite in (each for each in results.suites if each.group == ATTACKS and each.part_of is None):
        attack = results.systems["guard"][suite.name]
        gap = results.look_up(("guard", suite.control, "false_positive_gap_to_clear"))
        shown, recalls = without_unit(gap) if gap else NOTHING, (NOTHING,) * 3  # nothing blocked in the clear
        if ratio := attack.get("recall_ratio_to_clear"):
            recalls = f"{ratio.n:,}", mean(attack["recall_in_the_clear"]), with_interval(ratio)
        rows.append((suite.title, *recalls, shown))
    return rows


@declare(
    "obfuscation",
    "Obfuscations detected before judging, in threats and controls alike.",
    "Obfuscation | Rows | Detected [95% interval] | Right family",
)
def obfuscation(results: Results) -> Rows:
    found, rows = results.systems["guard"]["obfuscation"], []
    families = [each.name for each in results.suites if each.group == ATTACKS and each.part_of is None]
    for family in families:
        detected, identified = found[f"detected_{family}"], found[f"identified_{family}"]
        cells = (with_interval(detected), with_interval(identified))
        rows.append((suite_title(family), f"{detected.n:,}", *cells))
    if plain := found.get("detected_in_plain"):
        rows.append(("no obfuscation", f"{plain.n:,}", with_interval(plain), NOTHING))
    return rows


@declare(
    "arms",
    "The routed guard and its two branches alone; mean and standard deviation over seeds.",
    "Guard | Recall | False pos. | Hard neg. | FlipAttack | its control | AUC | Accuracy | ECE | P95",
)
def arms(results: Results) -> Rows:
    columns = (
        ("plain", "recall"),
        ("plain", "false_positive_rate"),
        ("hard_negatives", "false_positive_rate"),
        ("flipattack", "recall"),
        ("control_flipattack", "false_positive_rate"),
        ("plain", "auc"),
        ("plain", "accuracy"),
        ("plain", "ece"),
    )
    rows = []
    for arm, latency in ARMS.items():
        cells = [_plus_minus(results.look_up((arm, *column))) for column in columns]
        rows.append((GUARDS[arm], *cells, mean(results.look_up(("guard", "latency", latency)))))
    return rows


@declare(
    "hard_negatives",
    "False positives on benign text that resembles attacks, by policy.",
    f"Benign text | Rows | any [95% interval] | {' | '.join(NARROWER)}",
)
def hard_negatives(results: Results) -> Rows:
    rows = []
    for suite in (suite for suite in results.suites if suite.group == HARD_NEGATIVES):
        rate = results.systems["guard"][suite.name]["false_positive_rate"]
        others = by_policy(results, suite.name, "false_positive_rate")
        rows.append((suite.title, f"{rate.n:,}", with_interval(rate), *others))
    return rows


@declare(
    "size",
    "Exported models against the trained one, on validation rows.",
    "Precision | Size | Same intent | Largest gap",
)
def size(results: Results) -> Rows:
    size = results.systems["guard"]["size"]
    return [
        (precision, *(mean(size[f"{precision}_{field}"]) for field in PRECISION_FORMATS))
        for precision in PRECISIONS
    ]


@declare(
    "int8",
    lambda results: (
        "INT8 weights against fp32 ones, both under ONNX Runtime, on "
        f"{results.look_up(('guard', 'int8_against_fp32', 'intent_agreement')).n:,} rows."
    ),
    " | Mean | 95% interval",
)
def int8(results: Results) -> Rows:
    found = results.systems["guard"]["int8_against_fp32"]
    titles = {
        "macro_f1_fp32": "Macro F1, fp32",
        "macro_f1_int8": "Macro F1, INT8",
        "macro_f1_gap_to_fp32": "Difference",
        "intent_agreement": "Same intent",
        "verdict_agreement": "Same verdict at the blocking threshold",
    }
    return [
        (title, mean(found[name]), interval(found[name].interval, found[name].format))
        for name, title in titles.items()
    ]


@declare(
    "calibration",
    "Calibration of all rows, obfuscated ones included: fitted on validation rows, kept on test rows; under "
    "the policy any, unless another is named.",
    " | Validation rows | Test rows",
)
def calibration(results: Results) -> Rows:
    found, rows = results.systems["guard"]["calibration"], []
    for title, name in (
        ("Calibration error, temperature one", "raw_ece"),
        ("Calibration error, fitted temperature", "ece"),
        ("Benign text blocked", "false_positive_rate"),
        (f"{NOTHING} plain", "plain_false_positive_rate"),
        (f"{NOTHING} obfuscated", "obfuscated_false_positive_rate"),
    ):
        rows.append((title, *_on_both_splits(found, name)))
    for name in NARROWER:
        found = results.systems[SYSTEMS[name]]["calibration"]
        rows.append((f"Benign text blocked, {name}", *_on_both_splits(found, "false_positive_rate")))
    return rows


def _on_both_splits(found: dict[str, Summary], name: str) -> tuple[str, ...]:
    return tuple(with_interval(found.get(f"{split}_{name}")) for split in ("validation", "test"))


@declare(
    "significance",
    "The routed guard less each branch alone, and less other choices of as many rows.",
    "Against | Metric | Test | Difference | p (Holm)",
)
def significance(results: Results) -> Rows:
    titles = {"randomisation": "randomisation", "paired_t": "paired t, seeds"}
    rows = []
    for each in results.significance:
        if each["method"] not in titles:
            continue
        metric = "AUC" if each["metric"] == "auc" else each["metric"]
        difference = f"{each['difference']:+.4f}".replace("-", MINUS)
        p = number(each["p_holm"], "p_value") if each["p"] is not None else NOTHING
        rows.append((GUARDS[each["b"]], metric, titles[each["method"]], difference, p))
    return rows


def _plus_minus(summary: Summary | None) -> str:
    std = summary.as_json()["std"] if summary else None
    spread = f" \u00b1 {number(std, summary.format).rstrip('%')}" if std is not None else ""
    return f"{mean(summary)}{spread}"
