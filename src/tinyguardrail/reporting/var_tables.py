"""Tables of VAR: the headline preset, all presets, throughput, criteria, the front and the ablation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tinyguardrail.evaluation.evaluate import Results
from tinyguardrail.evaluation.summary import Summary
from tinyguardrail.evaluation.var_studies import VALIDITY_BAR
from tinyguardrail.reporting.table import Table
from tinyguardrail.reporting.targets import look_up
from tinyguardrail.reporting.text import interval, kind_of, number, readable
from var_moe.compare import grade, judge

TITLES = {
    "perplexity_baseline": "Perplexity, router untouched",
    "second_weight": "Weight of the second expert, router untouched",
    "perplexity_var": "Perplexity with VAR",
    "perplexity_change": "Change",
    "skip_perplexity_change": "Change, router + ratio skip",
    "fast_share": "Calls from token rows",
    "cached_share": "Calls from context rows",
    "learned_share": "Calls left to the router",
    "experts_per_call": "Experts per call",
    "skip_experts_per_call": "Experts per call, router + ratio skip",
    "speedup_vs_best_stock": "Throughput, best stock kernel = 1",
    "speedup_vs_own_kernel": "Throughput, own kernel = 1",
    "skip_speedup_vs_best_stock": "The same, router + ratio skip",
}
NOT_TIMED = ("not measured", *[""] * 4)


def var_tables(results: Results) -> list[Table]:
    return [
        _headline(results),
        _criteria(results),
        _presets(results),
        _speed(results),
        _front(results),
        _ablation(results),
    ]


def var_grade(results: Results) -> str:
    """Grade of the headline preset by the criteria of `var_moe.compare`."""
    return grade(judge(results.var["reports"], results.var["timings"]))


def _headline(results: Results) -> Table:
    rows = []
    for metric, title in TITLES.items():
        summary, kind = look_up(results, ("var", "*", metric)), kind_of(metric)
        bounds = interval(summary.interval, kind) if summary else ""
        rows.append((title, number(summary.mean if summary else None, kind), bounds))
        if metric.endswith("perplexity_change"):
            rows.append(("\u2014 over documents", "", interval(summary.extra["ci95_documents"], kind)))
            for over in ("documents", "seeds"):
                p = summary.extra[f"p_{over}"]
                shown = number(p, "p_value") if p is not None else "\u2014"
                rows.append((f"\u2014 p of non-inferiority, {over}", shown, ""))
    header = ("", "Mean", "95% interval")
    return Table("var", "Verifiable adaptive routing on the reference model.", header, rows)


def _criteria(results: Results) -> Table:
    findings = judge(results.var["reports"], results.var["timings"])
    caption = f"Criteria fixed beforehand, preset {results.var['preset']}; grade: {grade(findings)}."
    header = ("Criterion", "Required", "Measured", "Verdict")
    return Table("var_criteria", caption, header, [_met(finding.row) for finding in findings])


def _met(row: tuple[str, ...]) -> tuple[str, ...]:
    """With the verdicts of the other tables of targets."""
    return (*row[:-1], {"pass": "met", "fail": "not met"}.get(row[-1], row[-1]))


def _presets(results: Results) -> Table:
    rows = []
    for test, found in results.systems["var"].items():
        if not test.startswith("preset_"):
            continue
        shares = (
            number(found[name].mean, "percent") for name in ("fast_share", "cached_share", "learned_share")
        )
        experts = (
            number(found[name].mean, "factor") for name in ("experts_per_call", "skip_experts_per_call")
        )
        changes = (_over_documents(found[f"{arm}perplexity_change"]) for arm in ("", "skip_"))
        speedup = found.get("speedup_vs_best_stock")
        title = readable(test.removeprefix("preset_"))
        rows.append((title, *shares, *experts, *changes, number(speedup.mean if speedup else None, "ratio")))
    header = (
        "Preset",
        "Token",
        "Context",
        "Learned",
        "Experts",
        "skip",
        "Change [documents]",
        "skip",
        "Speed",
    )
    caption = (
        "The three presets: calls by route, experts per call, change in perplexity and prefill throughput "
        "(best stock kernel = 1); \u201cskip\u201d is router + ratio skip at the same thresholds."
    )
    return Table("var_presets", caption, header, rows)


def _over_documents(change: Summary) -> str:
    kind = "percent_change"
    return f"{number(change.mean, kind)} {interval(change.extra['ci95_documents'], kind)}"


def _speed(results: Results) -> Table:
    rows = []
    for test, found in results.systems["var"].items():
        if "best_stock_tokens_per_second" not in found:
            continue
        cells = [number(found["best_stock_tokens_per_second"].mean, "count")]
        cells += [_over_repeats(found[f"{arm}speedup_vs_best_stock"]) for arm in ("", "skip_")]
        rows.append((_workload(test), *cells, _over_repeats(found["speedup_vs_own_kernel"])))
    header = ("Workload", "Best stock, tokens/s", "VAR", "Router + skip", "VAR, own kernel = 1")
    caption = (
        "Throughput of interleaved runs, best stock kernel = 1; medians, mean over seeds, "
        "with intervals over repeats."
    )
    return Table("var_speed", caption, header, rows or [NOT_TIMED])


def _workload(name: str) -> str:
    """`prefill_8x256_threads1` as a person would write it."""
    kind, size, threads = name.split("_")
    count = int(threads.removeprefix("threads"))
    return f"{kind} {size}, {count} thread{'s' if count > 1 else ''}"


def _over_repeats(speedup: Summary) -> str:
    return f"{number(speedup.mean, 'ratio')} {interval(speedup.extra['ci95_repeats'], 'ratio')}".strip()


def _front(results: Results) -> Table:
    found, rows = results.var["search"], []
    for point in found["front"]:
        test = point["test"]
        speedup = found["speedups"].get(point["name"])
        rows.append(
            (
                readable(point["name"]),
                number(point["learned_share"], "percent"),
                number(point["experts_per_call"], "factor"),
                number(point["perplexity_change"], "percent_change"),
                number(test["perplexity_change"], "percent_change"),
                interval(test["perplexity_change_ci95"], "percent_change"),
                number(speedup["vs_best_stock"]["median"] if speedup else None, "ratio"),
            )
        )
    header = ("Point", "Learned", "Experts", "Validation", "Test", "95% interval", "Speed")
    caption = (
        f"The Pareto front of {len(found['trials'])} trials, chosen on validation and reported on test once."
    )
    return Table("var_front", caption, header, rows)


def _ablation(results: Results) -> Table:
    rows = []
    for recipe, found in results.var["ablation"].items():
        rows.append((readable(recipe), *_ablated(found), "yes" if found["router_stays_valid"] else "no"))
    header = (
        "Recipe",
        "Perplexity, VAR off",
        "Against plain",
        "Second",
        "Change with VAR",
        "Experts",
        "Valid",
    )
    caption = (
        "Models trained by each recipe, with intervals over documents; \u201csecond\u201d: mean weight of "
        "the second expert with VAR off; \u201cvalid\u201d: with VAR off, perplexity is at most "
        f"{number(VALIDITY_BAR, 'percent')} above that of plain training."
    )
    return Table("var_ablation", caption, header, rows)


def _ablated(found: dict[str, Any]) -> Sequence[str]:
    off, on = (
        f"{number(found[name], 'percent_change')} {interval(found[f'{name}_ci95'], 'percent_change')}"
        for name in ("off_against_plain", "perplexity_change")
    )
    return (
        number(found["perplexity_baseline"], "perplexity"),
        off,
        number(found["second_weight"], "percent"),
        on,
        number(found["experts_per_call"], "factor"),
    )
