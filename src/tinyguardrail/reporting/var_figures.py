"""The Pareto front of VAR's settings as a drawing and as the table behind it."""

from __future__ import annotations

from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from tinyguardrail.evaluation.summary import rounded
from tinyguardrail.reporting import style

HEADER = ("name", "on_front", "cost", "perplexity_change", "test", "test_low", "test_high")


def front_rows(search: dict[str, Any]) -> list[list[Any]]:
    """Rows of `results/plots/var_front.csv`: every trial, and test figures of those on the front."""
    front, rows = {point["name"]: point["test"] for point in search["front"]}, []
    for trial in search["trials"]:
        test = front.get(trial["name"])
        measured = [test["perplexity_change"], *test["perplexity_change_ci95"]] if test else [None] * 3
        cells = (rounded(cell) for cell in (trial["cost"], trial["perplexity_change"], *measured))
        rows.append([trial["name"], test is not None, *cells])
    return rows


def var_front(drawn: Figure, search: dict[str, Any]) -> None:
    """Perplexity change against cost: every trial and the front on validation, the front again on test."""
    axes, front, trials = drawn.subplots(), search["front"], search["trials"]
    axes.plot(
        _costs(trials), _changes(trials), ".", color=style.GREY, markersize=3, label="trials, validation"
    )
    axes.plot(_costs(front), _changes(front), "o-", color=style.BLUE, markersize=3, label="front, validation")
    on_test = [point["test"] for point in front]
    values, bounds = _changes(on_test), [each["perplexity_change_ci95"] for each in on_test]
    errors = [
        [max(0.0, value - low) for value, (low, _) in zip(values, bounds, strict=True)],
        [max(0.0, high - value) for value, (_, high) in zip(values, bounds, strict=True)],
    ]
    axes.errorbar(
        _costs(front),
        values,
        yerr=errors,
        fmt="s",
        color=style.ORANGE,
        elinewidth=0.8,
        markersize=3,
        label="front, test",
    )
    axes.axhline(0, color="black", linewidth=0.7)
    axes.set(xlabel="experts per call + share left to the router", ylabel="perplexity change")
    axes.yaxis.set_major_formatter(PercentFormatter(xmax=1, decimals=1))
    style.legend_above(axes, columns=3)


def _costs(points: list[dict[str, Any]]) -> list[float]:
    return [point["cost"] for point in points]


def _changes(points: list[dict[str, Any]]) -> list[float]:
    return [point["perplexity_change"] for point in points]
