"""The figures of the paper; each shows results already computed and computes nothing itself."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from tinyguardrail.evaluation.evaluate import Results
from tinyguardrail.evaluation.summary import Summary
from tinyguardrail.reporting import style
from tinyguardrail.reporting.tables import shown_attacks
from tinyguardrail.reporting.targets import look_up
from tinyguardrail.reporting.text import family_of, readable, variant_title
from tinyguardrail.reporting.var_figures import var_front

PERCENT = PercentFormatter(xmax=1, decimals=0)


def write_figures(
    folder: Path,
    results: Results,
    training: list[dict[str, list[float | None]]],
    settings: dict[str, Any],
    sources: dict[str, str],
) -> None:
    """Draw every figure into `folder`.

    Args:
        training: columns of the training log, one per seed.
        settings: `seeds` and `var_seeds`, the routing `threshold` in force and the `banner` of the scale.
        sources: figure name -> the results file it shows, with part of its hash.
    """
    seeds, var_seeds = settings["seeds"], settings["var_seeds"]
    drawings = {  # columns of the paper, inches, and what is drawn
        "detection": (2, _detection_height(results), lambda f: detection(f, results)),
        "routing": (1, 2.1, lambda f: routing(f, results, settings["threshold"])),
        "router_scores": (1, 2.1, lambda f: router_scores(f, results, settings["threshold"])),
        "roc": (1, 2.5, lambda f: roc(f, results)),
        "reliability": (1, 2.2, lambda f: reliability(f, results)),
        "training": (1, 2.1, lambda f: loss_curves(f, training, seeds)),
        "var": (1, 1.0 + 0.2 * len(var_seeds), lambda f: var(f, results, var_seeds)),
        "var_front": (1, 2.3, lambda f: var_front(f, results.var["search"])),
    }
    for name, (columns, height, draw) in drawings.items():
        with style.figure(height, columns) as drawn:
            draw(drawn)
            style.save(drawn, folder / name, settings["banner"], sources[name])


def detection(drawn: Figure, results: Results) -> None:
    """Share blocked, with 95% intervals: attacks, and benign text under the same transform."""
    guard, names, shown = results.systems["guard"], shown_attacks(results), _detection_panels(results)
    panels = drawn.subplots(1, len(shown), squeeze=False)[0]
    for axes, rows in zip(panels, shown, strict=True):
        for place, name in enumerate(rows):
            _point(axes, place - 0.13, guard[name]["recall"], style.BLUE, "o")
            _point(axes, place + 0.13, guard[f"control_{name}"]["false_positive_rate"], style.ORANGE, "s")
        axes.set_yticks(range(len(rows)), [variant_title(name, names) for name in rows])
        axes.set(ylim=(max(1, *map(len, shown)) - 0.5, -0.5), xlim=(-0.02, 1.02), xlabel="share blocked")
        axes.xaxis.set_major_formatter(PERCENT)
        axes.plot([], [], "o", color=style.BLUE, label="attacks")
        axes.plot([], [], "s", color=style.ORANGE, label="benign control")
    style.legend_above(panels[0], columns=2)


def routing(drawn: Figure, results: Results, threshold: float) -> None:
    """What other routing thresholds would give; the one in force is marked."""
    axes, table = drawn.subplots(), results.curves["routing"]
    for name, color in (
        ("deep_share", style.GREY),
        ("recall", style.BLUE),
        ("false_positive_rate", style.ORANGE),
        ("hard_negative_false_positive_rate", style.PURPLE),
    ):
        if name in table:
            axes.plot(table["threshold"], table[name], color=color, label=readable(name))
    axes.axvline(threshold, color="black", linewidth=0.7, linestyle=":")
    axes.set(xlabel="router threshold", ylabel="share of test rows", xlim=(0, 1), ylim=(0, 1.02))
    axes.yaxis.set_major_formatter(PERCENT)
    style.legend_above(axes, columns=2)


def router_scores(drawn: Figure, results: Results, threshold: float) -> None:
    """How the router's scores of each label spread; right of the dotted line a text goes deep."""
    axes, table = drawn.subplots(), results.curves["router_scores"]
    for name in (name for name in table if name != "router_score"):
        axes.step(table["router_score"], table[name], where="mid", linewidth=0.9, label=readable(name))
    axes.axvline(threshold, color="black", linewidth=0.7, linestyle=":")
    axes.set(xlabel="router score", ylabel="share of its test rows", xlim=(0, 1))
    axes.set_ylim(bottom=0)
    axes.yaxis.set_major_formatter(PERCENT)
    style.legend_above(axes, columns=2)


def roc(drawn: Figure, results: Results) -> None:
    """Recall against false-positive rate on a logarithmic axis, mean over seeds."""
    axes, table = drawn.subplots(), results.curves["roc"]
    for name in (name for name in table if name != "false_positive_rate"):
        title = "plain text" if name == "authored" else readable(name)
        look = {"color": "black", "linewidth": 1.6} if name == "authored" else {"linewidth": 0.9}
        axes.plot(table["false_positive_rate"], table[name], label=title, **look)
    axes.set(xscale="log", xlim=(0.001, 1), ylim=(0, 1.02))
    axes.set(xlabel="false-positive rate (same transform)", ylabel="recall")
    axes.yaxis.set_major_formatter(PERCENT)
    style.legend_above(axes, columns=2)


def reliability(drawn: Figure, results: Results) -> None:
    """Accuracy against confidence after temperature scaling; bars show where the rows are."""
    axes, table = drawn.subplots(), results.curves["reliability"]
    rows = np.array(table["rows"], dtype=float)
    axes.bar(table["confidence"], rows / rows.sum(), width=0.03, color="#CFCFCF", label="share of rows")
    axes.plot([0, 1], [0, 1], color="black", linewidth=0.7, linestyle=":", label="perfect calibration")
    axes.plot(table["confidence"], table["accuracy"], "o-", color=style.BLUE, label="accuracy")
    axes.set(xlabel="confidence", ylabel="accuracy", xlim=(0.2, 1.02), ylim=(0, 1.02))
    style.legend_above(axes, columns=3)


def loss_curves(drawn: Figure, training: list[dict[str, list[float | None]]], seeds: Sequence[int]) -> None:
    """Training loss, smoothed, and the share of validation rows that the router sends deep."""
    left, right = drawn.subplots(1, 2, width_ratios=(2, 1))
    for seed, log in zip(seeds, training, strict=True):
        left.plot(log["step"], _smoothed(log["loss"]), linewidth=0.9, label=f"seed {seed}")
        ends = [
            (e, s) for e, s in zip(log["epoch"], log["validation_deep_share"], strict=True) if s is not None
        ]
        if ends:
            right.plot([epoch + 1 for epoch, _ in ends], [share for _, share in ends], "o-")
    left.set(xlabel="step", ylabel="training loss")
    left.set_ylim(bottom=0)
    right.set(xlabel="epoch", ylabel="deep share, validation", ylim=(0, 1))
    right.yaxis.set_major_formatter(PERCENT)
    right.xaxis.get_major_locator().set_params(integer=True)
    style.legend_above(left, columns=max(1, len(seeds)))


def var(drawn: Figure, results: Results, seeds: Sequence[int]) -> None:
    """Relative perplexity change of each seed with its interval over documents, and the margin."""
    axes = drawn.subplots()
    for place, (change, (low, high)) in enumerate(
        zip(results.var["change"], results.var["interval"], strict=True)
    ):
        axes.errorbar(
            change, place, xerr=[[change - low], [high - change]], fmt="o", color=style.BLUE, capsize=2
        )
    axes.axvline(0, color="black", linewidth=0.7)
    margin = look_up(results, ("var", "*", "perplexity_change")).extra["non_inferiority_margin"]
    axes.axvline(margin, color=style.ORANGE, linewidth=0.9, linestyle="--")
    axes.set_yticks(range(len(seeds)), [f"seed {seed}" for seed in seeds])
    axes.set(ylim=(len(seeds) - 0.5, -0.5), xlabel="perplexity change (dashed: margin of non-inferiority)")
    axes.xaxis.set_major_formatter(PercentFormatter(xmax=1, decimals=1))


def _detection_panels(results: Results) -> list[list[str]]:
    """The rows side by side, parted between two families where that halves them best."""
    names = shown_attacks(results)
    starts = [place for place, name in enumerate(names) if family_of(name, names) is None]
    middle = min(starts[1:], key=lambda place: abs(2 * place - len(names)), default=len(names))
    return [rows for rows in (names[:middle], names[middle:]) if rows] or [[]]


def _detection_height(results: Results) -> float:
    return 0.9 + 0.17 * max(map(len, _detection_panels(results)))


def _point(axes: Axes, place: float, summary: Summary, color: str, marker: str) -> None:
    low, high = summary.interval
    errors = [[max(0.0, summary.mean - low)], [max(0.0, high - summary.mean)]]
    axes.errorbar(summary.mean, place, xerr=errors, fmt=marker, color=color, elinewidth=0.8, markersize=3)


def _smoothed(loss: list[float | None], window: int = 15) -> np.ndarray:
    """Trailing mean over `window` steps, over fewer at the start."""
    values = np.array(loss, dtype=float)
    total = np.concatenate([[0.0], np.cumsum(values)])
    end = np.arange(1, len(values) + 1)
    start = np.maximum(0, end - window)
    return (total[end] - total[start]) / (end - start)
