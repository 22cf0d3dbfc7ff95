"""`results/headline.json` and `paper/numbers.json`: every number that people read."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from tinyguardrail.data.records import SPLITS
from tinyguardrail.runtime.policy import POLICIES
from tinyguardrail_paper.analysis.evaluate import Results
from tinyguardrail_paper.analysis.policies import SYSTEMS
from tinyguardrail_paper.analysis.rivals import is_narrower_rival
from tinyguardrail_paper.analysis.summary import Format, Summary, rounded
from tinyguardrail_paper.analysis.var import HEADLINE_PRESET
from tinyguardrail_paper.settings.params import Params
from tinyguardrail_paper.tables.acceptance import TARGETS, acceptance_verdicts, judge
from tinyguardrail_paper.tables.formatting import BANNERS, MISSING, interval, number
from tinyguardrail_paper.tables.table import Table
from tinyguardrail_paper.tables.training_tables import arms_that_differ, families_that_changed
from tinyguardrail_paper.tables.var_tables import var_grade

# name -> (system, test, metric). Timings have no place here: this file is compared
# between experiments, and theirs would differ without a cause.
HEADLINE = {
    **{
        f"{system}.{metric}": (system, "plain", metric)
        for system in SYSTEMS.values()
        for metric in ("recall", "false_positive_rate")
    },
    "guard_injection.notinject_false_positive_rate": ("guard_injection", "notinject", "false_positive_rate"),
    "guard.hard_negative_false_positive_rate": ("guard", "hard_negatives", "false_positive_rate"),
    "guard.notinject_false_positive_rate": ("guard", "notinject", "false_positive_rate"),
    "guard.flipattack_recall": ("guard", "flipattack", "recall"),
    "guard.flipattack_control_false_positive_rate": ("guard", "control_flipattack", "false_positive_rate"),
    "guard.auc": ("guard", "plain", "auc"),
    "guard.accuracy": ("guard", "plain", "accuracy"),
    "guard.macro_f1": ("guard", "plain", "macro_f1"),
    "guard.ece": ("guard", "plain", "ece"),
    "guard.deep_share": ("guard", "router", "deep_share"),
    "guard.size_mb": ("guard", "size", "int8_size_mb"),
    "var.perplexity_change": ("var", HEADLINE_PRESET, "perplexity_change"),
    "var.learned_share": ("var", HEADLINE_PRESET, "learned_share"),
    "var.experts_per_call": ("var", HEADLINE_PRESET, "experts_per_call"),
}


def headline(results: Results) -> dict[str, float]:
    """A flat file for `dvc metrics` and `dvc exp show`, four decimals."""
    found = {name: results.look_up(path) for name, path in HEADLINE.items()}
    return {name: rounded(summary.mean, 4) for name, summary in found.items() if summary}


def numbers(
    results: Results, params: Params, data_card: dict[str, Any], tables: list[Table], digests: dict[str, str]
) -> dict[str, Any]:
    """The content of `paper/numbers.json`.

    Values have the raw number, its text, and the text of its interval; what was not measured is left
    out, and the paper says so. Verdicts and table rows are text. `digests` maps a results file to the
    start of its sha256.
    """
    values = _settings(params) | _counts(data_card) | _measured(results) | _tests(results)
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
        "acceptance": acceptance_verdicts(results),
        "evasion": _evasion(results.systems["guard"]["evasion"]),
        "leave_one_out": families_that_changed(results),
        "ablation": arms_that_differ(results),
        "targets": {name: judge(target, results) for name, target in TARGETS.items()},
        "values": dict(sorted(values.items())),
        "tables": {table.name: asdict(table) for table in tables},
    }


def _value(raw: float, written: Format, bounds: Sequence[float] | None = None) -> dict[str, Any]:
    return {"raw": rounded(raw), "text": number(raw, written), "interval": interval(bounds, written)}


def _measured(results: Results) -> dict[str, Any]:
    """Every summary by its path; those of VAR's corpus, of which there is one, without its name.

    Rivals under the narrower policies stand in tables alone: they are many.
    """
    values = {}
    shown = {name: tests for name, tests in results.systems.items() if not is_narrower_rival(name)}
    for system, tests in shown.items():
        for test, found in tests.items():
            for metric, summary in found.items():
                own = (system, test) == ("var", results.var["corpus"])
                name = f"var.{metric}" if own else f"{system}.{test}.{metric}"
                values[name] = _value(summary.mean, summary.format, summary.interval)
                if "p_holm" in summary.extra:
                    values[f"{name}.p"] = _p_value(summary.extra["p_holm"])
    change = results.look_up(("var", HEADLINE_PRESET, "perplexity_change"))
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
    model = ("vocab_size", "fast_layers", "deep_layers", "num_experts")
    counts = {name: getattr(params.model, name) for name in (*model, "num_experts_per_text")} | {
        "seeds": len(params.seeds),
        "var_seeds": len(params.var.seeds),
        "epochs": params.train.epochs,
        "rows_per_epoch": params.train.rows_per_epoch or 0,
        "baseline_rows": params.baselines.rows_per_epoch or params.train.rows_per_epoch or 0,
        "frozen_rows": params.baselines.frozen_rows,
        "strata_weighted": len(params.train.weights),
        "adversarial_from": _from_epoch(params.train.adversarial_epoch),
        "quantized_from": _from_epoch(params.train.quantization_aware_epoch),
        "leave_one_out_rows": params.leave_one_out.rows,
        "ablate_rows": params.ablate.rows,
        "ablate_seeds": len(params.ablate.seeds),
        "bootstrap_samples": params.statistics.bootstrap_samples,
    }
    return {f"params.{name}": _value(count, "count") for name, count in counts.items()} | {
        "params.var_late_whole": _value(params.var.train.late_whole, "percent"),
        "params.router_threshold": _value(params.router.threshold, "setting"),
        **{
            f"params.false_positive_rate_{name}": _value(params.policies.target(name), "percent")
            for name in POLICIES
        },
        "params.threat_weight": _value(params.train.threat_weight, "factor"),
        "params.deep_share": _value(params.train.deep_share, "percent"),
        "params.var_margin": _value(params.var.margin, "percent"),
        "params.alpha": _value(params.statistics.alpha, "setting"),
    }


def _counts(data_card: dict[str, Any]) -> dict[str, Any]:
    counts = {name: data_card[name] for name in ("rows", "duplicates_removed")} | {
        "families": len(data_card["by_family"]),
        "languages": len(data_card["by_language"]),
        "sources": len(data_card["sources"]),
        "sources_not_used": len(data_card["not_used"]),
        "authored_texts": data_card["authored_corpus"]["texts"],
        **{split: data_card["by_split"].get(split, 0) for split in SPLITS},
    }
    shortcuts = ("length", "language", "source", "bag_of_characters")
    aucs = {f"{name}_auc": data_card["shortcuts"]["all"][f"{name}_auc"] for name in shortcuts}
    return {f"data.{name}": _value(count, "count") for name, count in counts.items()} | {
        f"data.{name}": _value(value, "probability") for name, value in aucs.items()
    }
