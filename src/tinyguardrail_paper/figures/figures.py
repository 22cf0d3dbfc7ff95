"""The figures of the paper, each with the table behind it; they show results and compute nothing."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from tinyguardrail.runtime.policy import ANY
from tinyguardrail_common.files import digest
from tinyguardrail_paper.analysis.evaluate import Results
from tinyguardrail_paper.analysis.policies import SYSTEMS
from tinyguardrail_paper.analysis.suites import title as suite_title
from tinyguardrail_paper.analysis.suites.plain import NAME as PLAIN
from tinyguardrail_paper.analysis.suites.suite import Suite
from tinyguardrail_paper.analysis.summary import Summary, rounded
from tinyguardrail_paper.analysis.var import HEADLINE_PRESET
from tinyguardrail_paper.figures import style
from tinyguardrail_paper.settings import paths
from tinyguardrail_paper.settings.params import Params
from tinyguardrail_paper.tables.formatting import BANNERS, readable, variant_title
from tinyguardrail_paper.tables.guard_tables import shown_attacks
from tinyguardrail_paper.tables.writing import write_csv

Plot = tuple[Sequence[str], list[list[Any]]]  # header and rows

FRONT_HEADER = ("name", "on_front", "cost", "perplexity_change", "test", "test_low", "test_high")
PERCENT = PercentFormatter(xmax=1, decimals=0)


@dataclass(frozen=True)
class Inputs:
    """What figures show; `training` has the columns of the training log, one per seed."""

    results: Results
    training: list[dict[str, list[float | None]]]
    params: Params


@dataclass(frozen=True)
class Declaration:
    """A figure of the paper.

    Attributes:
        columns: of the paper, that it is wide.
        height: inches.
        plot: makes `results/plots/NAME.csv`, which it shows; without one it shows the training logs.
    """

    name: str
    columns: int
    height: float | Callable[[Inputs], float]
    draw: Callable[[Figure, Inputs], None]
    plot: Callable[[Inputs], Plot] | None

    def height_inches(self, inputs: Inputs) -> float:
        return self.height(inputs) if callable(self.height) else self.height

    def source(self, inputs: Inputs) -> str:
        """The file it shows and the start of its hash, so that a figure is known to be of these results."""
        path = paths.PLOTS / f"{self.name}.csv" if self.plot else paths.TRAINING
        logs = [path / f"{paths.seed_name(seed)}.csv" for seed in inputs.params.seeds]
        return f"{path.as_posix()} {digest(*([path] if self.plot else logs))}"


def detection(drawn: Figure, inputs: Inputs) -> None:
    """Share blocked, with 95% intervals: attacks, and benign text under the same transform."""
    results = inputs.results
    guard, shown = results.systems["guard"], _detection_panels(results)
    panels = drawn.subplots(1, len(shown), squeeze=False)[0]
    for axes, rows in zip(panels, shown, strict=True):
        for place, attack in enumerate(rows):
            _point(axes, place - 0.13, guard[attack.name]["recall"], style.BLUE, "o")
            _point(axes, place + 0.13, results.control(attack), style.ORANGE, "s")
        axes.set_yticks(range(len(rows)), [variant_title(attack) for attack in rows])
        axes.set(ylim=(max(1, *map(len, shown)) - 0.5, -0.5), xlim=(-0.02, 1.02), xlabel="share blocked")
        axes.xaxis.set_major_formatter(PERCENT)
        axes.plot([], [], "o", color=style.BLUE, label="attacks")
        axes.plot([], [], "s", color=style.ORANGE, label="benign control")
    style.legend_above(panels[0], columns=2)


def routing(drawn: Figure, inputs: Inputs) -> None:
    """What other routing thresholds would give; the one in force is marked."""
    axes, table = drawn.subplots(), inputs.results.curves["routing"]
    for name, color in (
        ("deep_share", style.GREY),
        ("recall", style.BLUE),
        ("false_positive_rate", style.ORANGE),
        ("hard_negative_false_positive_rate", style.PURPLE),
    ):
        if name in table:
            axes.plot(table["threshold"], table[name], color=color, label=readable(name))
    axes.axvline(inputs.params.router.threshold, color="black", linewidth=0.7, linestyle=":")
    axes.set(xlabel="router threshold", ylabel="share of test rows", xlim=(0, 1), ylim=(0, 1.02))
    axes.yaxis.set_major_formatter(PERCENT)
    style.legend_above(axes, columns=2)


def router_scores(drawn: Figure, inputs: Inputs) -> None:
    """How the router's scores of each intent spread; right of the dotted line a text goes deep."""
    axes, table = drawn.subplots(), inputs.results.curves["router_scores"]
    for name in (name for name in table if name != "router_score"):
        axes.step(table["router_score"], table[name], where="mid", linewidth=0.9, label=readable(name))
    axes.axvline(inputs.params.router.threshold, color="black", linewidth=0.7, linestyle=":")
    axes.set(xlabel="router score", ylabel="share of its test rows", xlim=(0, 1))
    axes.set_ylim(bottom=0)
    axes.yaxis.set_major_formatter(PERCENT)
    style.legend_above(axes, columns=2)


def roc(drawn: Figure, inputs: Inputs) -> None:
    """Recall against false-positive rate on a logarithmic axis, mean over seeds."""
    axes, table = drawn.subplots(), inputs.results.curves["roc"]
    for name in (name for name in table if name != "false_positive_rate"):
        title = "plain text" if name == PLAIN else suite_title(name)
        look = {"color": "black", "linewidth": 1.6} if name == PLAIN else {"linewidth": 0.9}
        axes.plot(table["false_positive_rate"], table[name], label=title, **look)
    axes.set(xscale="log", xlim=(0.001, 1), ylim=(0, 1.02))
    axes.set(xlabel="false-positive rate (same transform)", ylabel="recall")
    axes.yaxis.set_major_formatter(PERCENT)
    style.legend_above(axes, columns=2)


def policies(drawn: Figure, inputs: Inputs) -> None:
    """Recall against false-positive rate of each policy, plain text; dots show the thresholds in force."""
    axes, results = drawn.subplots(), inputs.results
    table = results.curves["policies"]
    for name in (name for name in table if name != "false_positive_rate"):
        look = {"color": "black", "linewidth": 1.6} if name == ANY else {"linewidth": 0.9}
        line = axes.plot(table["false_positive_rate"], table[name], label=name, **look)[0]
        plain = results.systems[SYSTEMS[name]][PLAIN]
        rates = (plain[metric].mean for metric in ("false_positive_rate", "recall"))
        axes.plot(*rates, "o", color=line.get_color(), markersize=4)
    axes.set(xscale="log", xlim=(0.001, 1), ylim=(0, 1.02))
    axes.set(xlabel="false-positive rate, plain benign text", ylabel="recall of the policy's threats")
    axes.yaxis.set_major_formatter(PERCENT)
    style.legend_above(axes, columns=4)


def reliability(drawn: Figure, inputs: Inputs) -> None:
    """Accuracy against confidence after temperature scaling; bars show where the rows are."""
    axes, table = drawn.subplots(), inputs.results.curves["reliability"]
    rows = np.array(table["rows"], dtype=float)
    axes.bar(table["confidence"], rows / rows.sum(), width=0.03, color="#CFCFCF", label="share of rows")
    axes.plot([0, 1], [0, 1], color="black", linewidth=0.7, linestyle=":", label="perfect calibration")
    axes.plot(table["confidence"], table["accuracy"], "o-", color=style.BLUE, label="accuracy")
    axes.set(xlabel="confidence", ylabel="accuracy", xlim=(0.2, 1.02), ylim=(0, 1.02))
    style.legend_above(axes, columns=3)


def training(drawn: Figure, inputs: Inputs) -> None:
    """Training loss, smoothed, and the share of validation rows that the router sends deep."""
    left, right = drawn.subplots(1, 2, width_ratios=(2, 1))
    for seed, log in zip(inputs.params.seeds, inputs.training, strict=True):
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
    style.legend_above(left, columns=max(1, len(inputs.params.seeds)))


def detection_plot(inputs: Inputs) -> Plot:
    """Both rates of every attack that has them, shown in the figure or not."""
    results, rows = inputs.results, []
    for attack in results.attacks():
        recall, benign = results.systems["guard"][attack.name]["recall"], results.control(attack)
        cells = (recall.mean, *recall.interval, benign.mean, *benign.interval)
        rows.append([attack.name, *(rounded(cell) for cell in cells)])
    header = ["transform", "recall", "recall_low", "recall_high"]
    header += ["control_false_positive_rate", "control_low", "control_high"]
    return header, rows


def curve_plot(name: str, inputs: Inputs) -> Plot:
    """The columns of one of the results' curves."""
    table = inputs.results.curves[name]
    return list(table), [[rounded(value) for value in row] for row in zip(*table.values(), strict=True)]


def var(drawn: Figure, inputs: Inputs) -> None:
    """Relative perplexity change of each seed with its interval over documents, and the margin."""
    axes, results, seeds = drawn.subplots(), inputs.results, inputs.params.var.seeds
    for place, (change, (low, high)) in enumerate(
        zip(results.var["change"], results.var["interval"], strict=True)
    ):
        axes.errorbar(
            change, place, xerr=[[change - low], [high - change]], fmt="o", color=style.BLUE, capsize=2
        )
    axes.axvline(0, color="black", linewidth=0.7)
    margin = results.look_up(("var", HEADLINE_PRESET, "perplexity_change")).extra["non_inferiority_margin"]
    axes.axvline(margin, color=style.ORANGE, linewidth=0.9, linestyle="--")
    axes.set_yticks(range(len(seeds)), [f"seed {seed}" for seed in seeds])
    axes.set(ylim=(len(seeds) - 0.5, -0.5), xlabel="perplexity change (dashed: margin of non-inferiority)")
    axes.xaxis.set_major_formatter(PercentFormatter(xmax=1, decimals=1))


def var_plot(inputs: Inputs) -> Plot:
    var = inputs.results.var
    changes = zip(inputs.params.var.seeds, var["change"], var["interval"], strict=True)
    rows = [[seed, *(rounded(cell) for cell in (change, *bounds))] for seed, change, bounds in changes]
    return ["seed", "perplexity_change", "low", "high"], rows


def front_plot(inputs: Inputs) -> Plot:
    return FRONT_HEADER, front_rows(inputs.results.var["search"])


def front_rows(search: dict[str, Any]) -> list[list[Any]]:
    """Rows of `results/plots/var_front.csv`: every trial, and test figures of those on the front."""
    front, rows = {point["name"]: point["test"] for point in search["front"]}, []
    for trial in search["trials"]:
        test = front.get(trial["name"])
        measured = [test["perplexity_change"], *test["perplexity_change_ci95"]] if test else [None] * 3
        cells = (rounded(cell) for cell in (trial["cost"], trial["perplexity_change"], *measured))
        rows.append([trial["name"], test is not None, *cells])
    return rows


def var_front(drawn: Figure, inputs: Inputs) -> None:
    """Perplexity change against cost: every trial and the front on validation, the front again on test."""
    axes, search = drawn.subplots(), inputs.results.var["search"]
    front, trials = search["front"], search["trials"]
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


def _detection_panels(results: Results) -> list[list[Suite]]:
    """The rows side by side, parted between two families where that halves them best."""
    attacks = shown_attacks(results)
    starts = [place for place, attack in enumerate(attacks) if attack.part_of is None]
    middle = min(starts[1:], key=lambda place: abs(2 * place - len(attacks)), default=len(attacks))
    return [rows for rows in (attacks[:middle], attacks[middle:]) if rows] or [[]]


def _detection_height(inputs: Inputs) -> float:
    return 0.9 + 0.17 * max(map(len, _detection_panels(inputs.results)))


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


def _costs(points: list[dict[str, Any]]) -> list[float]:
    return [point["cost"] for point in points]


def _changes(points: list[dict[str, Any]]) -> list[float]:
    return [point["perplexity_change"] for point in points]


FIGURES = (
    Declaration("detection", 2, _detection_height, detection, detection_plot),
    Declaration("routing", 1, 2.1, routing, partial(curve_plot, "routing")),
    Declaration("router_scores", 1, 2.1, router_scores, partial(curve_plot, "router_scores")),
    Declaration("roc", 1, 2.5, roc, partial(curve_plot, "roc")),
    Declaration("policies", 1, 2.3, policies, partial(curve_plot, "policies")),
    Declaration("reliability", 1, 2.2, reliability, partial(curve_plot, "reliability")),
    Declaration("training", 1, 2.1, training, None),
    Declaration("var", 1, lambda inputs: 1.0 + 0.2 * len(inputs.params.var.seeds), var, var_plot),
    Declaration("var_front", 1, 2.3, var_front, front_plot),
)


def write_plots(folder: Path, inputs: Inputs) -> None:
    """One CSV per figure, for `dvc plots` and as what the figures' hashes are of."""
    for figure in FIGURES:
        if figure.plot is not None:
            write_csv(folder / f"{figure.name}.csv", *figure.plot(inputs))


def write_figures(folder: Path, inputs: Inputs) -> None:
    """Draw every figure into `folder`; its plot has been written before."""
    for figure in FIGURES:
        with style.figure(figure.height_inches(inputs), figure.columns) as drawn:
            figure.draw(drawn, inputs)
            style.save(drawn, folder / figure.name, BANNERS[inputs.params.scale], figure.source(inputs))
