"""One reported value: its mean over seeds, their spread, an interval, and what it rests on."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from tinyguardrail_common.statistics.significance import t_interval

# How a value is written; `points` are of a percentage, a `difference` is of two probabilities.
Format = Literal[
    "percent", "points", "percent_change", "ms", "ratio", "factor", "perplexity", "setting", "count",
    "megabytes", "millions", "difference", "probability", "quotient", "p_value",
    "small",
]  # fmt: skip
DIGITS = 6  # in files: enough for every use, few enough to hide the last bits of a sum


@dataclass(frozen=True)
class Summary:
    """Values of one metric by seed.

    Attributes:
        values: one per seed, in the order of `seeds`.
        interval: 95% interval of the mean: over test texts (clustered by parent) and seeds together for
            metrics of rows, over seeds (Student's t) for everything else; None if neither exists.
        n: rows, tokens or repeats behind each value.
        format: how its values are written.
        extra: further fields of this metric.
    """

    values: tuple[float, ...]
    interval: tuple[float, float] | None
    n: int
    seeds: tuple[int, ...]
    format: Format
    extra: dict[str, Any] = field(default_factory=dict)

    @property
    def mean(self) -> float:
        return float(np.mean(self.values))

    def as_json(self) -> dict[str, Any]:
        """The fields that `results/metrics.json` documents."""
        std = float(np.std(self.values, ddof=1)) if len(self.values) > 1 else None
        return {
            "mean": rounded(self.mean),
            "std": rounded(std),
            "ci95": [rounded(bound) for bound in self.interval] if self.interval else None,
            "n": self.n,
            "seeds": list(self.seeds),
            **self.extra,
        }


def over_texts(
    values: Sequence[float],
    interval: tuple[float, float],
    n: int,
    seeds: Sequence[int],
    format: Format,
    **extra: Any,
) -> Summary:
    """A metric of test rows; `interval` is about other texts of the same kind, and other seeds."""
    return Summary(tuple(float(v) for v in values), interval, int(n), tuple(seeds), format, extra)


def over_seeds(
    values: Sequence[float], n: int, seeds: Sequence[int], format: Format, **extra: Any
) -> Summary:
    """A quantity that has no rows to resample; the interval is about other seeds."""
    values = tuple(float(v) for v in values)
    return Summary(values, t_interval(values), int(n), tuple(seeds), format, extra)


def rounded(value: float | None, digits: int = DIGITS) -> float | None:
    """`value` rounded for a file; None for None, and 0.0 rather than -0.0."""
    if value is None:
        return None
    if not math.isfinite(value):
        raise ValueError(f"{value} cannot be reported")
    return round(float(value), digits) + 0.0
