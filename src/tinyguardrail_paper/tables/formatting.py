"""How numbers are written: one rule per format, for tables, prose and figures alike."""

from collections.abc import Callable

from tinyguardrail_paper.analysis.suites.suite import Suite
from tinyguardrail_paper.analysis.summary import Format, Summary

MISSING = "not measured"
MINUS = "\u2212"
NOTHING = "\u2014"  # in a cell that has no number

BANNERS = {
    "root": "root scale: small authored corpus, not the public-data numbers",
    "full": "full scale: public data sets",
    "smoke": "smoke scale: a test of the pipeline, the numbers mean nothing",
}

GUARDS = {  # systems of `results/metrics.json` under the policy `any`
    "guard": "routed",
    "guard_always_fast": "always fast",
    "guard_always_deep": "always deep",
    "guard_random": "random choice",
    "guard_early_exit": "early exit",
    "guard_early_exit_equal_share": "early exit, equal share",
    "guard_oracle": "oracle (bound)",
}


def readable(name: str) -> str:
    """`deep_share` as a person would write it."""
    return name.replace("_", " ")


def variant_title(suite: Suite) -> str:
    """The title, marked with a dash where it is a part of another suite."""
    return f"\u2013 {suite.title}" if suite.part_of else suite.title


def number(value: float | None, written: Format) -> str:
    """`value` as text."""
    if value is None:
        return MISSING
    if written == "p_value":
        return "< 0.001" if value < 0.001 else f"{value:.3f}"
    text = _FORMATS[written](value)
    return text if written == "small" else text.replace("-", MINUS)


def interval(bounds: tuple[float, float] | list[float] | None, written: Format) -> str:
    """`[low, high]`, or nothing where there is no interval; points are named by the number before it."""
    low, high = (number(bound, written).removesuffix(" points") for bound in bounds or (None, None))
    return f"[{low}, {high}]" if bounds else ""


def with_interval(summary: Summary | None) -> str:
    """Mean and interval; the interval is left out where there is none."""
    if summary is None:
        return MISSING
    return f"{mean(summary)} {interval(summary.interval, summary.format)}".strip()


def without_unit(summary: Summary) -> str:
    """The same under a header that says points."""
    return with_interval(summary).replace(" points", "")


def mean(summary: Summary | None) -> str:
    return number(summary.mean, summary.format) if summary else MISSING


_FORMATS: dict[Format, Callable[[float], str]] = {
    "percent": lambda v: f"{100 * v:.1f}%",
    "points": lambda v: f"{100 * v:+.2f} points",
    "percent_change": lambda v: f"{100 * v:+.2f}%",
    "ms": lambda v: f"{v:.1f} ms",
    "ratio": lambda v: f"{v:.2f}x",
    "factor": lambda v: f"{v:.2f}",
    "perplexity": lambda v: f"{v:.2f}",
    "setting": lambda v: f"{v:g}",
    "count": lambda v: f"{v:,.0f}",
    "megabytes": lambda v: f"{v:.1f} MB",
    "millions": lambda v: f"{v / 1e6:.1f} million",
    "difference": lambda v: f"{v:+.4f}",
    "probability": lambda v: f"{v:.3f}",
    "quotient": lambda v: f"{v:.3f}",
    "small": lambda v: f"{v:.1e}",
}
