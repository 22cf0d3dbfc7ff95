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

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tinyguardrail_common.acceptance import MET, NOT_MET, Criterion, joint_verdict
from tinyguardrail_common.errors import UserError
from tinyguardrail_common.files import read_json
from tinyguardrail_common.statistics.significance import t_interval

EXCELLENT, GOOD, ACCEPTABLE, INSUFFICIENT = "excellent", "good", "acceptable", "insufficient"
ESSENTIAL = ("perplexity", "prefill_vs_best_stock", "learned_share")
AT_MOST, AT_LEAST = "\u2264", "\u2265"
PERCENT, FACTOR = "{:.2%}".format, "{:.2f}x".format


@dataclass(frozen=True)
class PresetCriterion:
    """One row of the table; a preset without a limit is not judged by it."""

    name: str
    title: str
    sign: str
    limits: dict[str, float]  # by preset
    format: Callable[[float], str]

    def at(self, preset: str) -> Criterion:
        return Criterion(self.sign, self.limits[preset], self.format)


def _all(limit: float) -> dict[str, float]:
    return {"conservative": limit, "balanced": limit, "aggressive": limit}


CRITERIA = (
    PresetCriterion(
        "perplexity", "Perplexity change, upper bound", AT_MOST, _all(0.005) | {"aggressive": 0.01}, PERCENT
    ),
    PresetCriterion(
        "prefill_vs_best_stock",
        "Prefill against the best stock kernel",
        AT_LEAST,
        {"conservative": 1.0, "balanced": 1.3, "aggressive": 1.5},
        FACTOR,
    ),
    PresetCriterion(
        "prefill_vs_own_kernel", "Prefill against our kernel", AT_LEAST, {"balanced": 1.2}, FACTOR
    ),
    PresetCriterion("decode_vs_best_stock", "Decoding, batch of one", AT_LEAST, {"balanced": 1.25}, FACTOR),
    PresetCriterion("learned_share", "Calls left to the learned router", AT_MOST, _all(0.11), PERCENT),
    PresetCriterion("audit_width", "Audit of 2%: width of the interval", AT_MOST, _all(0.02), PERCENT),
    PresetCriterion("audit_coverage", "Audit of 2%: coverage", AT_LEAST, _all(0.93), PERCENT),
    PresetCriterion("tracking_overhead", "Time that tracking and the log add", AT_MOST, _all(0.02), PERCENT),
    PresetCriterion("phase_one_ratio", "Phase 1 against a plain forward pass", AT_MOST, _all(1.1), FACTOR),
)
# What an acceptable preset must reach, whatever it is.
ACCEPTABLE_CRITERIA = {
    "perplexity": Criterion(AT_MOST, 0.01),
    "prefill_vs_best_stock": Criterion(AT_LEAST, 1.0),
}


@dataclass(frozen=True)
class Finding:
    """A criterion at the limit of a preset, and what was measured, None where nothing was."""

    name: str
    title: str
    criterion: Criterion
    value: float | None

    @property
    def verdict(self) -> str:
        return self.criterion.verdict(self.value)

    @property
    def row(self) -> tuple[str, str, str, str]:
        """Title, requirement, measured value, verdict."""
        measured = "\u2014" if self.value is None else self.criterion.format(self.value)
        return self.title, self.criterion.required, measured, self.verdict


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
    """A finding for each criterion that has a limit for the preset, by default the headline one.

    Raises:
        UserError: the reports lack the preset.
    """
    if not reports:
        raise UserError("no results to judge")
    preset = preset or reports[0]["preset"]
    if any(preset not in report["presets"] for report in reports):
        raise UserError(f"preset {preset!r} was not measured; known: {', '.join(reports[0]['presets'])}")
    found = [report["presets"][preset] for report in reports]
    values: dict[str, float | None] = {
        "perplexity": perplexity_upper_bound(found),
        "learned_share": sum(each["learned_share"] for each in found) / len(found),
        "audit_width": _mean([report.get("audit", {}).get("interval_width") for report in reports]),
        "audit_coverage": _mean([report.get("audit", {}).get("coverage") for report in reports]),
        **_speeds(reports, timings, preset),
    }
    return [
        Finding(each.name, each.title, each.at(preset), values.get(each.name))
        for each in CRITERIA
        if preset in each.limits
    ]


def perplexity_upper_bound(found: Sequence[dict[str, Any]]) -> float:
    """The larger of the upper 95% bounds over seeds and over documents."""
    over_documents = sum(each["perplexity_change_ci95"][1] for each in found) / len(found)
    over_seeds = t_interval([each["perplexity_change"] for each in found])
    return max(over_documents, over_seeds[1] if over_seeds else -math.inf)


def grade(findings: Sequence[Finding]) -> str:
    """The grade of the module's rule."""
    verdicts = {each.name: each.verdict for each in findings}
    if joint_verdict(verdicts.values()) == MET:
        return EXCELLENT
    others = [verdict for name, verdict in verdicts.items() if name not in ESSENTIAL]
    if joint_verdict(verdicts[name] for name in ESSENTIAL) == MET and others.count(NOT_MET) <= 1:
        return GOOD
    values = {each.name: each.value for each in findings}
    least = joint_verdict(each.verdict(values[name]) for name, each in ACCEPTABLE_CRITERIA.items())
    return ACCEPTABLE if least == MET else INSUFFICIENT


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
