"""The suites of test rows. A new one is a file here whose `SUITES` are called with scores and yield it.

An attack's suite holds attacks and, as its matched control, benign text put through the same
transform. Detection on the one means nothing without false positives on the other: a detector of
flipping flags both.
"""

from collections.abc import Callable, Iterator

from tinyguardrail_common.discovery import known, members
from tinyguardrail_paper.analysis.metrics import METRICS
from tinyguardrail_paper.analysis.metrics.metric import Sample
from tinyguardrail_paper.analysis.scores import Scores
from tinyguardrail_paper.analysis.suites.benchmark import Benchmark
from tinyguardrail_paper.analysis.suites.obfuscation import attack_title
from tinyguardrail_paper.analysis.suites.suite import Suite
from tinyguardrail_paper.analysis.summary import Summary

Metrics = dict[str, dict[str, Summary]]  # suite or test -> metric -> summary

SUITES: list[Callable[[Scores], Iterator[Suite]]] = members(__name__, __path__, "SUITES")
BENCHMARKS = {each.name: each for each in SUITES if isinstance(each, Benchmark)}


def benchmark(name: str) -> Benchmark:
    """The public benchmark of that name; a `UserError` names the known ones."""
    return known(BENCHMARKS, name, "benchmark")


def title(name: str) -> str:
    """A family of rows, an attack or a benchmark as a person would write it."""
    return BENCHMARKS[name].title if name in BENCHMARKS else attack_title(name)


def build_suites(scores: Scores) -> list[Suite]:
    """Suites of the test split; one without rows, or without a class it needs, is left out.

    Rows are those that the policy of the scores judges.
    """
    return [suite for build in SUITES for suite in build(scores) if suite.metrics]


def evaluate_suites(suites: list[Suite], sample: Callable[[Suite], Sample]) -> Metrics:
    """Every metric of every suite, averaged over seeds; `sample` says what decides on its rows.

    How intents are told apart is not measured of a guard that tells none.
    """
    return {suite.name: dict(_measured(suite, sample(suite))) for suite in suites}


def _measured(suite: Suite, sample: Sample) -> Iterator[tuple[str, Summary]]:
    for name in suite.metrics:
        if sample.decisions.tells_intents or not METRICS[name].of_intents:
            yield name, METRICS[name].measure(sample)
