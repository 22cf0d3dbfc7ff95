"""Acceptance criteria: limits that are fixed before anything is measured, and the verdict on what was."""

import operator
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

Interval = tuple[float, float]

MET, NOT_MET, NOT_MEASURED = "met", "not met", "not measured"
_COMPARE = {"<": operator.lt, "\u2264": operator.le, ">": operator.gt, "\u2265": operator.ge}


@dataclass(frozen=True)
class Criterion:
    """A limit on a mean and its 95% interval, either of which may be missing.

    Attributes:
        sign: how the judged figure must compare with `limit`.
        format: writes the limit with its unit.
        upper_bound: judge the upper end of the interval instead of the mean.
        p_value: judge the p-value of the figure instead.
    """

    sign: Literal["<", "\u2264", ">", "\u2265"]
    limit: float
    format: Callable[[float], str] = "{:.1%}".format
    upper_bound: bool = False
    p_value: bool = False

    @property
    def required(self) -> str:
        return f"{'p ' if self.p_value else ''}{self.sign} {self.format(self.limit)}"

    def verdict(self, mean: float | None, interval: Interval | None = None) -> str:
        """`met`, `not met`, or `not measured` where the figure to judge is missing."""
        value = interval and interval[1] if self.upper_bound else mean
        if value is None:
            return NOT_MEASURED
        return MET if self._holds(value) else NOT_MET

    def settled(self, mean: float | None, interval: Interval | None) -> bool:
        """True when both ends of the interval give the same answer as the mean."""
        return interval is not None and len({self._holds(value) for value in (*interval, mean)}) == 1

    def _holds(self, value: float) -> bool:
        return _COMPARE[self.sign](value, self.limit)


def joint_verdict(verdicts: Iterable[str]) -> str:
    """Met when every one of several criteria is; not measured when one of them was not."""
    verdicts = set(verdicts)
    if NOT_MEASURED in verdicts:
        return NOT_MEASURED
    return NOT_MET if NOT_MET in verdicts else MET
