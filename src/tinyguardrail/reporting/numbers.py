"""`results/headline.json` and `paper/numbers.json`: every number that people read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tinyguardrail.evaluation.evaluate import Results
from tinyguardrail.evaluation.summary import Summary, rounded
from tinyguardrail.params import Params
from tinyguardrail.reporting.ablation_table import arms_that_differ
from tinyguardrail.reporting.bars import judged
from tinyguardrail.reporting.left_out_table import families_that_changed
from tinyguardrail.reporting.table import Table
from tinyguardrail.reporting.targets import TARGETS, judge, look_up
from tinyguardrail.reporting.text import BANNERS, MISSING, interval, kind_of, number
from tinyguardrail.reporting.var_tables import var_grade

# name -> (system, test, metric). Timings have no place here: this file is compared
# between experiments, and theirs would differ without a cause.
HEADLINE = {
    "guard.recall": ("guard", "authored", "recall"),
    "guard.false_positive_rate": ("guard", "authored", "false_positive_rate"),
    "guard.hard_negative_false_positive_rate": ("guard", "trigger_words", "false_positive_rate"),
    "guard.notinject_false_positive_rate": ("guard", "notinject", "false_positive_rate"),
    "guard.flipattack_recall": ("guard", "flipattack", "recall"),
    "guard.flipattack_control_false_positive_rate": ("guard", "control_flipattack", "false_positive_rate"),
    "guard.auc": ("guard", "authored", "auc"),
    "guard.accuracy": ("guard", "authored", "accuracy"),
    "guard.macro_f1": ("guard", "authored", "macro_f1"),
    "guard.ece": ("guard", "authored", "ece"),
    "guard.deep_share": ("guard", "router", "deep_share"),
    "guard.size_mb": ("guard", "size", "int8_size_mb"),
    "var.perplexity_change": ("var", "*", "perplexity_change"),
    "var.learned_share": ("var", "*", "learned_share"),
    "var.experts_per_call": ("var", "*", "experts_per_call"),
}

# Numbers in the prose that a small test set or an untimed checkout may lack.
MAY_BE_MISSING = (
    "guard.direct_injection.recall",
    "guard.jailbreak.recall",
    "guard.trigger_words.false_positive_rate",
    "guard.flipattack.recall",
    "guard.flipattack.auc",
    "guard.control_flipattack.false_positive_rate",
    "guard.evasion.forced_share",
    "guard.calibration.test_plain_false_positive_rate",
    "guard.calibration.test_disguised_false_positive_rate",
    "guard.latency.p95_ms",
    "guard.latency.always_fast_p95_ms",
    "guard.latency.always_deep_p95_ms",
    "guard.size.int8_size_mb",
    "guard.size.int8_label_agreement",
    "guard.size.fp32_size_mb",
    "var.speedup_vs_best_stock",
    "var.speedup_vs_own_kernel",
    "var.skip_speedup_vs_best_stock",
    "var.decode_1_threads1.speedup_vs_best_stock",
)
# The same for prose that the full scale alone has.
PUBLIC_MAY_BE_MISSING = (
    "guard.notinject.false_positive_rate",
    "guard.notinject_291.false_positive_rate",
    "guard.wildguard_benign.false_positive_rate",
    "guard.bipia.recall",
    "guard.bipia_clean.false_positive_rate",
    "guard.toxic_chat.recall",
    "guard.toxic_chat.false_positive_rate",
    "guard.jbb_methods.recall",
    "guard.jbb_methods.macro_recall",
    "guard.jbb_pair.recall",
    "guard.jbb_behaviors.auc",
    "guard.advbench.recall",
    "guard.flipattack_advbench.recall",
)


def headline(results: Results) -> dict[str, float]:
    """A flat file for `dvc metrics` and `dvc exp show`, four decimals."""
    found = {name: look_up(results, path) for name, path in HEADLINE.items()}
    return {name: rounded(summary.mean, 4) for name, summary in found.items() if summary}


def numbers(
    results: Results, params: Params, data_card: dict[str, Any], tables: list[Table], digests: dict[str, str]
) -> dict[str, Any]:
    """The content of `paper/numbers.json`.

    Values have the raw number, its text, and the text of its interval; verdicts and table
    rows are text. `digests` maps a results file to the start of its sha256.
    """
    values = _settings(params) | _counts(data_card) | _measured(results) | _tests(results)
    for name in MAY_BE_MISSING + (PUBLIC_MAY_BE_MISSING if params.scale == "full" else ()):
        values.setdefault(name, {"raw": None, "text": MISSING, "interval": ""})
    hardware = results.hardware or {"cpu": MISSING, "cores": MISSING, "threads": MISSING}
    return {
        "scale": params.scale,
        "banner": BANNERS[params.scale],
        "digests": digests,
        "hardware": {key: str(hardware[key]) for key in ("cpu", "cores", "threads")},
        "var": {
            "preset": results.var["preset"],
            "corpus": results.var["corpus"],
            "grade": var_grade(results),
            "recipe": params.var.train.recipe,
        },
        "bars": judged(results),
        "evasion": _evasion(results.systems["guard"]["evasion"]),
        "leave_one_out": families_that_changed(results),
        "ablation": arms_that_differ(results),
        "targets": {target.name: judge(target, results) for target in TARGETS},
        "values": dict(sorted(values.items())),
        "tables": {
            table.name: {"caption": table.caption, "header": list(table.header), "rows": table.rows}
            for table in tables
        },
    }


def _value(raw: float, kind: str, bounds: Sequence[float] | None = None) -> dict[str, Any]:
    return {"raw": rounded(raw), "text": number(raw, kind), "interval": interval(bounds, kind)}


def _measured(results: Results) -> dict[str, Any]:
    """Every summary by its path; those of VAR's corpus, of which there is one, without its name."""
    values = {}
    for system, tests in results.systems.items():
        for test, found in tests.items():
            for metric, summary in found.items():
                own = (system, test) == ("var", results.var["corpus"])
                name = f"var.{metric}" if own else f"{system}.{test}.{metric}"
                values[name] = _value(summary.mean, kind_of(metric), summary.interval)
                if "p_holm" in summary.extra:
                    values[f"{name}.p"] = _p_value(summary.extra["p_holm"])
    change = look_up(results, ("var", "*", "perplexity_change"))
    values["var.perplexity_change_over_documents"] = _value(
        change.mean, "percent_change", change.extra["ci95_documents"]
    )
    values["var.p_documents"] = _p_value(change.extra["p_documents"])
    values["var.trials"] = _value(len(results.var["search"]["trials"]), "count")
    for recipe, found in results.var["ablation"].items():
        for name in ("off_against_plain", "perplexity_change"):
            values[f"var.{recipe}.{name}"] = _value(found[name], "percent_change", found[f"{name}_ci95"])
        values[f"var.{recipe}.second_weight"] = _value(found["second_weight"], "percent")
    return values


def _tests(results: Results) -> dict[str, Any]:
    """Differences and adjusted p-values of the comparisons that pool the seeds."""
    values = {}
    for each in (each for each in results.significance if each["seed"] is None):
        name = f"test.{each['method']}.{each['metric']}.{each['b']}"
        values[f"{name}.difference"] = _value(each["difference"], "points")
        if each["p"] is not None:
            values[f"{name}.p"] = _p_value(each["p_holm"])
    return values


def _p_value(p: float) -> dict[str, Any]:
    value = _value(p, "p_value")
    return value | {"text": f"p {value['text'] if value['text'][0] == '<' else '= ' + value['text']}"}


def _evasion(found: dict[str, Summary]) -> dict[str, str]:
    """How many texts were tried, and on which side of zero the whole interval of the route's cost lies."""
    low, high = found["excess_recall_change"].interval
    side = "below zero" if high < 0 else "above zero" if low > 0 else "not settled"
    return {"texts": number(found["recall_before"].n, "count"), "route_cost": side}


def _from_epoch(index: int | None) -> int:
    """An epoch as people count them, 0 for never."""
    return 0 if index is None else index + 1


def _settings(params: Params) -> dict[str, Any]:
    return {
        "params.seeds": _value(len(params.seeds), "count"),
        "params.var_late_whole": _value(params.var.train.late_whole, "percent"),
        "params.var_seeds": _value(len(params.var.seeds), "count"),
        "params.router_threshold": _value(params.router.threshold, "setting"),
        "params.target_false_positive_rate": _value(params.calibration.target_false_positive_rate, "percent"),
        "params.vocab_size": _value(params.model.vocab_size, "count"),
        "params.shared_layers": _value(params.model.shared_layers, "count"),
        "params.fast_layers": _value(params.model.fast_layers, "count"),
        "params.deep_layers": _value(params.model.deep_layers, "count"),
        "params.num_experts": _value(params.model.num_experts, "count"),
        "params.num_experts_per_text": _value(params.model.num_experts_per_text, "count"),
        "params.epochs": _value(params.train.epochs, "count"),
        "params.rows_per_epoch": _value(params.train.rows_per_epoch or 0, "count"),
        "params.strata_weighted": _value(len(params.train.weights), "count"),
        "params.adversarial_from": _value(_from_epoch(params.train.adversarial_epoch), "count"),
        "params.threat_weight": _value(params.train.threat_weight, "factor"),
        "params.quantized_from": _value(_from_epoch(params.train.quantization_aware_epoch), "count"),
        "params.deep_share": _value(params.train.deep_share, "percent"),
        "params.leave_one_out_rows": _value(params.leave_one_out.rows, "count"),
        "params.ablate_rows": _value(params.ablate.rows, "count"),
        "params.ablate_seeds": _value(len(params.ablate.seeds), "count"),
        "params.var_margin": _value(params.var.margin, "percent"),
        "params.alpha": _value(params.statistics.alpha, "setting"),
        "params.bootstrap_samples": _value(params.statistics.bootstrap_samples, "count"),
    }


def _counts(data_card: dict[str, Any]) -> dict[str, Any]:
    values = {"data.rows": _value(data_card["rows"], "count")}
    values["data.duplicates_removed"] = _value(data_card["duplicates_removed"], "count")
    values["data.families"] = _value(len(data_card["by_family"]), "count")
    values["data.languages"] = _value(len(data_card["by_language"]), "count")
    for split in ("train", "validation", "test"):
        values[f"data.{split}"] = _value(data_card["by_split"].get(split, 0), "count")
    values["data.sources"] = _value(len(data_card["sources"]), "count")
    values["data.sources_not_used"] = _value(len(data_card["not_used"]), "count")
    values["data.authored_texts"] = _value(data_card["authored_corpus"]["texts"], "count")
    for name in ("length", "language", "source", "bag_of_characters"):
        values[f"data.{name}_auc"] = _value(data_card["shortcuts"]["all"][f"{name}_auc"], "probability")
    return values
