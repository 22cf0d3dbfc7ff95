"""The public benchmarks as a table, beside what others published."""

from collections.abc import Iterable

from tinyguardrail_paper.analysis.evaluate import Results
from tinyguardrail_paper.analysis.metrics import metric as metric_named
from tinyguardrail_paper.analysis.suites import BENCHMARKS
from tinyguardrail_paper.analysis.suites.benchmark import Published
from tinyguardrail_paper.analysis.suites.harmful_requests import ADVBENCH
from tinyguardrail_paper.analysis.suites.obfuscation import PUBLIC_GROUP
from tinyguardrail_paper.analysis.summary import Summary
from tinyguardrail_paper.tables.formatting import NOTHING, number, with_interval
from tinyguardrail_paper.tables.policy_columns import NARROWER, by_policy
from tinyguardrail_paper.tables.table import Rows, declare

SHOWN = ("recall", "false_positive_rate", "auc")


@declare(
    "public",
    "Public benchmarks, by policy: a policy's threats against benign text, a dash where it has none. Other "
    "guards' figures are as published elsewhere, each at its own threshold; ours is fixed on our validation "
    "rows. Rows are those of the policy any.",
    f"Benchmark | Metric | Rows | any [95% interval] | {' | '.join(NARROWER)} | Published elsewhere",
)
def public(results: Results) -> Rows:
    """Every benchmark that was measured, then obfuscated requests of AdvBench; no rows without any."""
    guard = results.systems["guard"]
    rows = []
    for name, benchmark in BENCHMARKS.items():
        for metric in (metric for metric in SHOWN if metric in guard.get(name, {})):
            beside = _others(benchmark.published.get(metric), metric)
            own = (guard[name][metric], by_policy(results, name, metric))
            rows.append(_row(benchmark.title, metric, *own, beside))
    for suite in results.suites:
        if suite.group == PUBLIC_GROUP and suite.part_of is None and suite.control in guard:
            name, control = f"{ADVBENCH.title}, {suite.title}", results.control(suite)
            others = by_policy(results, suite.name, "recall")
            rows.append(_row(name, "recall", guard[suite.name]["recall"], others, NOTHING))
            name, others = (
                f"{NOTHING} its control, benign",
                by_policy(results, suite.control, "false_positive_rate"),
            )
            rows.append(_row(name, "false_positive_rate", control, others, NOTHING))
    return rows


def _row(title: str, metric: str, summary: Summary, narrower: Iterable[str], others: str) -> tuple[str, ...]:
    return title, metric_named(metric).title, f"{summary.n:,}", with_interval(summary), *narrower, others


def _others(published: Published | None, metric: str) -> str:
    """Every guard's figure after a word on how its texts relate to ours."""
    if published is None:
        return NOTHING
    doubt = published.not_comparable
    basis = f"not comparable ({doubt})" if doubt else "same set"
    return f"{basis}: " + ", ".join(figure_of(published, guard, metric) for guard in published.accuracy)


def figure_of(published: Published, guard: str, metric: str) -> str:
    """On one-sided sets recall is the accuracy, and a false-positive rate what it lacks to 1."""
    accuracy = published.accuracy[guard]
    value = 1 - accuracy if metric == "false_positive_rate" else accuracy
    return f"{guard} {number(value, 'percent')}"
