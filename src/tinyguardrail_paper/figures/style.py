"""One look for every figure, and files that are the same bytes on every run."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tinyguardrail_common.files import atomic_file
from tinyguardrail_paper.typesetting import svg_to_pdf

WIDTH_INCHES = 3.35  # one column of the paper
GUTTER_INCHES = 0.26

# Okabe and Ito's palette: told apart without red-green vision and in grey print.
BLUE, ORANGE, GREEN, PURPLE, GREY = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#7F7F7F"
CYCLE = (BLUE, ORANGE, GREEN, PURPLE, "#56B4E9", "#E69F00", GREY)

SETTINGS = {
    "axes.axisbelow": True,
    "axes.edgecolor": "#404040",
    "axes.grid": True,
    "axes.labelsize": 7,
    "axes.linewidth": 0.6,
    "axes.prop_cycle": matplotlib.cycler(color=CYCLE),
    "axes.spines.right": False,
    "axes.spines.top": False,
    "font.family": "DejaVu Sans",
    "font.size": 7,
    "grid.color": "#E6E6E6",
    "grid.linewidth": 0.5,
    "legend.fontsize": 6.5,
    "legend.frameon": False,
    "lines.linewidth": 1.2,
    "lines.markersize": 3.5,
    "path.simplify": False,
    "svg.fonttype": "path",  # no font is looked up where the figure is shown
    "svg.hashsalt": "tinyguardrail",  # element names that do not change between runs
    "xtick.labelsize": 6.5,
    "ytick.labelsize": 6.5,
}


@contextmanager
def figure(height_inches: float, columns: int = 1) -> Iterator[Figure]:
    """A figure of the width of one column of the paper or more, in this style, closed at the end."""
    width = columns * WIDTH_INCHES + (columns - 1) * GUTTER_INCHES
    with plt.rc_context({**matplotlib.rcParamsDefault, **SETTINGS, "backend": "Agg"}):
        drawn = plt.figure(figsize=(width, height_inches), layout="constrained")
        try:
            yield drawn
        finally:
            plt.close(drawn)


def save(drawn: Figure, path: Path, banner: str, source: str) -> None:
    """Write `path`.svg and `path`.pdf without dates, with the scale above and the source below.

    Args:
        banner: the scale, e.g. "root scale: ...".
        source: the results file the figure shows and 8 characters of its hash.
    """
    note = 9 / 72 / drawn.get_figheight()  # a line of 9 points above and one below
    drawn.get_layout_engine().set(rect=(0, note, 1, 1 - 2 * note), w_pad=0.02, h_pad=0.02)
    drawn.text(0.01, 0.99, banner, fontsize=5.5, color=GREY, va="top", ha="left", style="italic")
    drawn.text(0.99, 0.01, source, fontsize=5, color=GREY, va="bottom", ha="right")
    svg = path.with_suffix(".svg")
    with atomic_file(svg) as temporary:
        drawn.savefig(temporary, format="svg", metadata={"Date": None, "Creator": None})
    with atomic_file(path.with_suffix(".pdf")) as temporary:
        temporary.write_bytes(svg_to_pdf(svg))


def legend_above(axes: Axes, columns: int) -> None:
    """A legend over the axes, where it hides no data and the layout leaves room for it."""
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=columns, borderaxespad=0.2)
