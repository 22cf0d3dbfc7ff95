"""Tables of VAR: the headline preset, all presets, throughput, criteria, the front and the ablation."""

from collections.abc import Sequence
from typing import Any

from tinyguardrail_paper.analysis.evaluate import Results
from tinyguardrail_paper.analysis.summary import Summary
from tinyguardrail_paper.analysis.var import HEADLINE_PRESET, VALIDITY_LIMIT
from tinyguardrail_paper.tables.formatting import NOTHING, interval, mean, number, readable
from tinyguardrail_paper.tables.table import Rows, declare
from var_moe.evaluation.compare import Finding, grade, judge

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
RECIPES = {"token_kl": "token KL", "late_ratio_skip": "skip by ratio, late"}
NOT_TIMED = ("not measured", *[""] * 4)


def var_grade(results: Results) -> str:
    """Grade of the headline preset by the criteria of `var_moe.evaluation.compare`."""
    return grade(_findings(results))


def _findings(results: Results) -> list[Finding]:
    return judge(results.var["reports"], results.var["timings"])


@declare("var", "Verifiable adaptive routing on the reference model.", " | Mean | 95% interval")
def headline(results: Results) -> Rows:
    rows = []
    for metric, title in TITLES.items():
        summary = results.look_up(("var", HEADLINE_PRESET, metric))
        bounds = interval(summary.interval, summary.format) if summary else ""
        rows.append((title, mean(summary), bounds))
        if summary and "ci95_documents" in summary.extra:
            over = interval(summary.extra["ci95_documents"], summary.format)
            rows.append((f"{NOTHING} over documents", "", over))
            for over in ("documents", "seeds"):
                p = summary.extra[f"p_{over}"]
                shown = number(p, "p_value") if p is not None else NOTHING
                rows.append((f"{NOTHING} p of non-inferiority, {over}", shown, ""))
    return rows


@declare(
    "var_criteria",
    lambda results: (
        f"Criteria fixed beforehand, preset {results.var['preset']}; grade: {var_grade(results)}."
    ),
    "Criterion | Required | Measured | Verdict",
)
def criteria(results: Results) -> Rows:
    return [finding.row for finding in _findings(results)]


@declare(
    "var_presets",
    "The three presets: calls by route, experts per call, change in perplexity and prefill throughput "
    "(best stock kernel = 1); \u201cskip\u201d is router + ratio skip at the same thresholds.",
    "Preset | Token | Context | Learned | Experts | skip | Change [documents] | skip | Speed",
)
def presets(results: Results) -> Rows:
    rows = []
    for preset, found in results.var["presets"].items():
        shares = (mean(found[name]) for name in ("fast_share", "cached_share", "learned_share"))
        experts = (mean(found[name]) for name in ("experts_per_call", "skip_experts_per_call"))
        changes = (_over("documents", found[f"{arm}perplexity_change"]) for arm in ("", "skip_"))
        rows.append((readable(preset), *shares, *experts, *changes, mean(found.get("speedup_vs_best_stock"))))
    return rows


def _over(what: str, summary: Summary) -> str:
    """The mean with its interval over documents or repeats."""
    return f"{mean(summary)} {interval(summary.extra[f'ci95_{what}'], summary.format)}".strip()


@declare(
    "var_speed",
    "Throughput of interleaved runs, best stock kernel = 1; medians, mean over seeds, "
    "with intervals over repeats.",
    "Workload | Best stock, tokens/s | VAR | Router + skip | VAR, own kernel = 1",
)
def speed(results: Results) -> Rows:
    rows = []
    for name, found in results.var["workloads"].items():
        cells = [mean(found["best_stock_tokens_per_second"])]
        cells += [_over("repeats", found[f"{arm}speedup_vs_best_stock"]) for arm in ("", "skip_")]
        rows.append((_workload(name), *cells, _over("repeats", found["speedup_vs_own_kernel"])))
    return rows or [NOT_TIMED]


def _workload(name: str) -> str:
    """`prefill_8x256_threads1` as a person would write it."""
    kind, size, threads = name.split("_")
    count = int(threads.removeprefix("threads"))
    return f"{kind} {size}, {count} thread{'s' if count > 1 else ''}"


@declare(
    "var_front",
    lambda results: (
        f"The Pareto front of {len(results.var['search']['trials'])} trials, chosen on validation and "
        "reported on test once."
    ),
    "Point | Learned | Experts | Validation | Test | 95% interval | Speed",
)
def front(results: Results) -> Rows:
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
    return rows


@declare(
    "var_ablation",
    "Models trained by each recipe, with intervals over documents; \u201csecond\u201d: mean weight of "
    "the second expert with VAR off; \u201cvalid\u201d: with VAR off, perplexity is at most "
    f"{number(VALIDITY_LIMIT, 'percent')} above that of plain training.",
    "Recipe | Perplexity, VAR off | Against plain | Second | Change with VAR | Experts | Valid",
)
def ablation(results: Results) -> Rows:
    rows = []
    for recipe, found in results.var["ablation"].items():
        title, valid = RECIPES.get(recipe, readable(recipe)), "yes" if found["router_stays_valid"] else "no"
        rows.append((title, *_ablated(found), valid))
    return rows


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
