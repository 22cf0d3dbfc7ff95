"""One acceptance criterion of the tables: limits on measured figures, and what the numbers say about them.

Beside every figure stands another that shows it was not bought with something else. What was not measured
was not met either, and is reported as such.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from tinyguardrail_common.acceptance import Criterion, Interval, joint_verdict
from tinyguardrail_paper.analysis.evaluate import Path, Results
from tinyguardrail_paper.tables.formatting import NOTHING, mean, with_interval

Condition = tuple[Path, Criterion]  # a figure and the limit on it


@dataclass(frozen=True)
class Requirement:
    """One row of a table of acceptance criteria.

    Attributes:
        conditions: all must hold; the first one's figure is shown as measured.
        beside_title, beside: the figure shown for comparison; a condition on it is written out with it.
        policy: under which it is measured, if that matters to it.
        others: what other guards reached, as far as it is known.
        parts: titles by tests of which the figure is the mean, shown below without criteria of their own.
        public: what is judged instead, where it was measured: a public set outranks rows of our own making.
    """

    title: str
    conditions: tuple[Condition, ...]
    beside_title: str
    beside: Path
    policy: str = NOTHING
    others: str = NOTHING
    parts: Mapping[str, str] = field(default_factory=dict)
    public: Self | None = None

    @property
    def key(self) -> str:
        """The title with the policy: one test may have a requirement under several."""
        return self.title if self.policy == NOTHING else f"{self.title} ({self.policy})"

    @property
    def path(self) -> Path:
        """The figure that is shown as measured."""
        return self.conditions[0][0]

    def at(self, results: Results) -> Self:
        """This requirement as `results` can judge it best."""
        return self if self.public is None or results.look_up(self.public.path) is None else self.public

    def verdict(self, results: Results) -> str:
        return joint_verdict(limit.verdict(*_judged(results, path, limit)) for path, limit in self.conditions)

    def settled(self, results: Results) -> bool:
        """Whether the whole intervals agree with the verdict."""
        return all(limit.settled(*_judged(results, path, limit)) for path, limit in self.conditions)

    def required(self, beside: bool) -> str:
        """The limits on what is measured, or on what stands beside it.

        An upper bound is called one where the mean has a limit too.
        """
        chosen = [limit for path, limit in self.conditions if (path == self.beside) is beside]
        bound = "upper bound " if len(chosen) > 1 else ""
        return ", ".join(f"{bound if each.upper_bound else ''}{each.required}" for each in chosen)


def judge(requirement: Requirement, results: Results) -> dict[str, Any]:
    """The row of one requirement: texts, verdict, and whether the whole intervals agree with it."""
    requirement = requirement.at(results)
    limit = requirement.required(beside=True)
    measured, beside = results.look_up(requirement.path), results.look_up(requirement.beside)
    return {
        "title": requirement.title,
        "required": requirement.required(beside=False),
        "measured": with_interval(measured),
        "value": mean(measured),
        "beside_title": f"{requirement.beside_title}{f' ({limit})' if limit else ''}",
        "beside": with_interval(beside),
        "beside_value": mean(beside),
        "verdict": requirement.verdict(results),
        "settled": requirement.settled(results),
    }


def _judged(results: Results, path: Path, limit: Criterion) -> tuple[float | None, Interval | None]:
    """Mean and interval; the outer bounds where there are intervals over documents and over seeds.

    Harm is ruled out only where both rule it out; one seed rules out nothing. Of a p-value, it twice.
    """
    summary = results.look_up(path)
    if summary is None:
        return None, None
    if limit.p_value:
        p = summary.extra.get("p_holm")
        return p, None if p is None else (p, p)
    if "ci95_documents" not in summary.extra:
        return summary.mean, summary.interval
    lows, highs = zip(summary.extra["ci95_documents"], summary.interval or (-math.inf, math.inf), strict=True)
    return summary.mean, (min(lows), max(highs))
