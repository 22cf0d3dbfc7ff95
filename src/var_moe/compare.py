"""Judges results of `var_eval` by criteria fixed beforehand, and sums them up in a grade.

Grades:

- *excellent*: every criterion was measured and holds;
- *good*: perplexity, prefill throughput and the learned share hold, and at most one other
  measured criterion fails; what was not measured does not count;
- *acceptable*: perplexity is non-inferior at one percent, and prefill is not slower than the
  best stock kernel;
- *insufficient*: anything less.

A perplexity criterion is judged by its upper bound: the larger of that over training seeds
(Student) and that over documents (bootstrap, mean of the seeds' bounds, which is no smaller
than the bound of their mean). A throughput criterion is judged by the mean over seeds of the
medians over repeats.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tinyguardrail.errors import UserError
from tinyguardrail.evaluation.significance import t_interval
from tinyguardrail.files import read_json

EXCELLENT, GOOD, ACCEPTABLE, INSUFFICIENT = "excellent", "good", "acceptable", "insufficient"
PASS, FAIL, NOT_MEASURED = "pass", "fail", "not measured"
NON_INFERIORITY_BAR = 0.01
ESSENTIAL = ("perplexity", "prefill_vs_best_stock", "learned_share")


@dataclass(frozen=True)
class Criterion:
    """One row of the table; `bars` is by preset, and a preset without a bar is not judged."""

    name: str
    title: str
    bars: dict[str, float]
    at_most: bool
    percent: bool  # written as a percentage, else as a factor


def _all(bar: float) -> dict[str, float]:
    return {"conservative": bar, "balanced": bar, "aggressive": bar}


CRITERIA = (
    Criterion("perplexity", "Perplexity change, upper bound", _all(0.005) | {"aggressive": 0.01}, True, True),
    Criterion(
        "prefill_vs_best_stock",
        "Prefill against the best stock kernel",
        {"conservative": 1.0, "balanced": 1.3, "aggressive": 1.5},
        False,
        False,
    ),
    Criterion("prefill_vs_own_kernel", "Prefill against our kernel", {"balanced": 1.2}, False, False),
    Criterion("decode_vs_best_stock", "Decoding, batch of one", {"balanced": 1.25}, False, False),
    Criterion("learned_share", "Calls left to the learned router", _all(0.11), True, True),
    Criterion("audit_width", "Audit of 2%: width of the interval", _all(0.02), True, True),
    Criterion("audit_coverage", "Audit of 2%: coverage", _all(0.93), False, True),
    Criterion("tracking_overhead", "Time that tracking and the log add", _all(0.02), True, True),
    Criterion("phase_one_ratio", "Phase 1 against a plain forward pass", _all(1.1), True, False),
)


@dataclass(frozen=True)
class Finding:
    """A criterion with what was measured; `value` is None where nothing was."""

    criterion: Criterion
    value: float | None
    bar: float

    @property
    def verdict(self) -> str:
        if self.value is None:
            return NOT_MEASURED
        holds = self.value <= self.bar if self.criterion.at_most else self.value >= self.bar
        return PASS if holds else FAIL

    def text(self, value: float | None) -> str:
        if value is None:
            return "\u2014"
        return f"{100 * value:.2f}%" if self.criterion.percent else f"{value:.2f}x"

    @property
    def row(self) -> tuple[str, str, str, str]:
        """Title, bar, measured value, verdict."""
        sign = "\u2264" if self.criterion.at_most else "\u2265"
        return self.criterion.title, f"{sign} {self.text(self.bar)}", self.text(self.value), self.verdict


def read_results(files: Sequence[Path]) -> tuple[list[dict[str, Any]], list[dict[str, Any]] | None]:
    """Reports `results/var/seed*.json` and the timings that stand in `latency/` beside their folder.

    Returns:
        Reports in the order given, and as many timings, or None unless every report has one of its
        preset: timings are no outs of DVC, and a checkout may find older ones.

    Raises:
        UserError: a file is missing, is no report of `var_eval`, or is of another corpus or preset.
    """
    reports = [_read_report(Path(file)) for file in files]
    for file, report in zip(files, reports, strict=True):
        for key in ("corpus", "preset"):
            if report[key] != reports[0][key]:
                raise UserError(f"{file}: {key} {report[key]!r}, but {reports[0][key]!r} in {files[0]}")
    timings = [Path(file).parent.parent / "latency" / f"var_{Path(file).name}" for file in files]
    if not all(path.is_file() for path in timings):
        return reports, None
    found = [read_json(path) for path in timings]
    current = all(each.get("preset") == reports[0]["preset"] and "workloads" in each for each in found)
    return reports, found if current else None


def _read_report(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise UserError(f"{path}: no such file; run: dvc repro var_eval")
    try:
        report = read_json(path)
    except ValueError as error:
        raise UserError(f"{path}: not JSON: {error}") from None
    if not isinstance(report, dict) or not {"corpus", "preset", "presets"} <= set(report):
        raise UserError(f"{path}: not a report of var_eval; give files of results/var/")
    return report


def judge(
    reports: Sequence[dict[str, Any]], timings: Sequence[dict[str, Any]] | None, preset: str | None = None
) -> list[Finding]:
    """A finding for each criterion that has a bar for the preset, by default the headline one.

    Raises:
        UserError: the reports lack the preset.
    """
    if not reports:
        raise UserError("no results to judge")
    preset = preset or reports[0]["preset"]
    if any(preset not in report["presets"] for report in reports):
        raise UserError(f"preset {preset!r} was not measured; known: {', '.join(reports[0]['presets'])}")
    found = [report["presets"][preset] for report in reports]
    measured: dict[str, float | None] = {
        "perplexity": perplexity_upper_bound(found),
        "learned_share": sum(each["learned_share"] for each in found) / len(found),
        "audit_width": _mean([report.get("audit", {}).get("interval_width") for report in reports]),
        "audit_coverage": _mean([report.get("audit", {}).get("coverage") for report in reports]),
        **_speeds(reports, timings, preset),
    }
    judged = [each for each in CRITERIA if preset in each.bars]
    return [Finding(each, measured.get(each.name), each.bars[preset]) for each in judged]


def perplexity_upper_bound(found: Sequence[dict[str, Any]]) -> float:
    """The larger of the upper 95% bounds over seeds and over documents."""
    over_documents = sum(each["perplexity_change_ci95"][1] for each in found) / len(found)
    over_seeds = t_interval([each["perplexity_change"] for each in found])
    return max(over_documents, over_seeds[1] if over_seeds else -math.inf)


def grade(findings: Sequence[Finding]) -> str:
    """The grade of the module's rule."""
    verdicts = {each.criterion.name: each.verdict for each in findings}
    if all(verdict == PASS for verdict in verdicts.values()):
        return EXCELLENT
    others = [verdict for name, verdict in verdicts.items() if name not in ESSENTIAL]
    if all(verdicts[name] == PASS for name in ESSENTIAL) and others.count(FAIL) <= 1:
        return GOOD
    values = {each.criterion.name: each.value for each in findings}
    speed = values["prefill_vs_best_stock"]
    if values["perplexity"] <= NON_INFERIORITY_BAR and speed is not None and speed >= 1:
        return ACCEPTABLE
    return INSUFFICIENT


def report_text(reports: Sequence[dict[str, Any]], findings: Sequence[Finding], preset: str) -> str:
    """The findings as an aligned table under a line that says what they are of, and the grade."""
    seeds = ", ".join(str(report["seed"]) for report in reports)
    header = ("Criterion", "Required", "Measured", "Verdict")
    rows = [header, *(each.row for each in findings)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(header))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]
    title = f"VAR, preset {preset}, corpus {reports[0]['corpus']}, seeds {seeds}"
    return "\n".join([title, "", *lines, "", f"Grade: {grade(findings)}"])


def _speeds(
    reports: Sequence[dict[str, Any]], timings: Sequence[dict[str, Any]] | None, preset: str
) -> dict[str, float | None]:
    """Throughput criteria; decoding is timed for the headline preset alone."""
    if timings is None:
        return {}
    headline = preset == reports[0]["preset"]
    arm = "var" if headline else f"var_{preset}"
    prefill = [_speedups(timing["workloads"][timing["headline"]], arm) for timing in timings]
    decode = [_speedups(_decoding_alone(timing), "var") if headline else None for timing in timings]
    return {
        "prefill_vs_best_stock": _mean([each and each["vs_best_stock"]["median"] for each in prefill]),
        "prefill_vs_own_kernel": _mean([each and each["vs_own_kernel"]["median"] for each in prefill]),
        "decode_vs_best_stock": _mean([each and each["vs_best_stock"]["median"] for each in decode]),
        "tracking_overhead": _mean([timing.get("tracking_overhead") for timing in timings]),
        "phase_one_ratio": _mean([timing.get("phase_one", {}).get("ratio") for timing in timings]),
    }


def _speedups(workload: dict[str, Any] | None, arm: str) -> dict[str, Any] | None:
    return workload["speedups"].get(arm) if workload else None


def _decoding_alone(timing: dict[str, Any]) -> dict[str, Any] | None:
    """Decoding of one text on the fewest threads."""
    own = [each for each in timing["workloads"].values() if each["kind"] == "decode" and each["batch"] == 1]
    return min(own, key=lambda each: each["threads"], default=None)


def _mean(values: Sequence[float | None]) -> float | None:
    """None unless every value is there: an average over fewer seeds than given is never made."""
    return None if any(value is None for value in values) else sum(values) / len(values)
