"""The search over VAR's settings and the ablation of its training: read, and checked for what is needed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tinyguardrail import paths
from tinyguardrail.evaluation.inputs import InputError, read_seeds_json, require
from tinyguardrail.files import read_json

ABLATED = (
    "perplexity_off", "off_against_plain", "perplexity_change", "learned_share", "experts_per_call",
)  # fmt: skip
INTERVALS = ("off_against_plain_ci95", "perplexity_change_ci95")


def read_search() -> dict[str, Any]:
    """`trials` and `front` of `var_search`, and `speedups` of the front's points where they were timed."""
    report = read_json(require(paths.VAR_SEARCH, "var_search"))
    if not report["front"]:
        raise InputError(f"{paths.VAR_SEARCH}: the front is empty; run: dvc repro --force var_search")
    file, names = paths.LATENCY / "var_search.json", {point["name"] for point in report["front"]}
    timing = read_json(file) if file.is_file() else None
    speedups = timing["workloads"][timing["headline"]]["speedups"] if timing else {}
    return report | {"speedups": speedups if names <= set(speedups) else {}}


def read_ablation(seeds: Sequence[int]) -> dict[str, dict[str, Any]]:
    """Arm -> mean over seeds of each number, and of the bounds of its interval over documents."""
    reports = read_seeds_json(paths.VAR_ABLATE, seeds, "var_ablate")
    found = {}
    for arm in reports[0]["arms"]:
        own = [report["arms"][arm] for report in reports]
        found[arm] = {name: _mean([each[name] for each in own]) for name in ABLATED}
        for name in INTERVALS:
            found[arm][name] = [_mean(side) for side in zip(*(each[name] for each in own), strict=True)]
        found[arm]["router_stays_valid"] = all(each["router_stays_valid"] for each in own)
    return found


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
