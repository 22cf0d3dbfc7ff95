"""Everything that the `figures` stage writes, in one place and in one order."""

from __future__ import annotations

import hashlib
from pathlib import Path

from tinyguardrail import paths
from tinyguardrail.errors import UserError
from tinyguardrail.evaluation.evaluate import Results
from tinyguardrail.evaluation.inputs import read_data_card, read_training
from tinyguardrail.evaluation.summary import rounded
from tinyguardrail.files import atomic_folder, write_json
from tinyguardrail.params import Params
from tinyguardrail.reporting import var_figures
from tinyguardrail.reporting.figures import write_figures
from tinyguardrail.reporting.model_card import write_model_card
from tinyguardrail.reporting.numbers import headline, numbers
from tinyguardrail.reporting.paper import write_paper
from tinyguardrail.reporting.run import run_record
from tinyguardrail.reporting.tables import build_tables, write_csv, write_tables
from tinyguardrail.reporting.text import BANNERS


class CollapseError(UserError):
    """The router decides nothing; the message is one line."""


def write_report(results: Results, params: Params) -> None:
    """Write metrics, plots, tables, figures, numbers and paper; inputs are read first.

    A figure names the file it shows by hash. Curves and training logs are free of timings,
    so figures stay the same bytes when only the timings changed.

    Raises:
        CollapseError: the router sent all or none of the validation rows of a seed deep.
            `results/metrics.json` is written, with `collapsed: true`, and nothing else.
    """
    training, data_card = read_training(params.seeds), read_data_card()
    write_json(paths.METRICS, results.metrics_json())
    if results.collapsed:
        seed, share = next(iter(results.collapsed.items()))
        raise CollapseError(
            f"router collapsed: seed {seed} sends {share:.0%} of validation rows to the deep branch at "
            f"router.threshold = {params.router.threshold}; see {paths.METRICS} and {paths.TRAINING}"
        )
    write_json(paths.HEADLINE, headline(results))
    write_json(paths.RUN, run_record(params.scale))
    tables = build_tables(results, data_card)
    write_model_card(results, tables, data_card, params)
    with atomic_folder(paths.PLOTS) as folder:
        _write_curves(folder, results, params)
    with atomic_folder(paths.TABLES) as folder:
        write_tables(folder, tables, results)
    with atomic_folder(paths.FIGURES) as folder:
        settings = {
            "seeds": params.seeds,
            "var_seeds": params.var.seeds,
            "threshold": params.router.threshold,
            "banner": BANNERS[params.scale],
        }
        write_figures(folder, results, training, settings, _sources(params))
    digests = {path.name: digest(path) for path in (paths.METRICS, paths.DATA_CARD)}
    write_json(paths.NUMBERS, numbers(results, params, data_card, tables, digests))
    write_paper()


def digest(*files: Path) -> str:
    """First 8 characters of the sha256 of the files' content, one after the other."""
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()[:8]


def _write_curves(folder: Path, results: Results, params: Params) -> None:
    """One CSV per curve, for `dvc plots` and as what the figures' hashes are of."""
    for name, table in results.curves.items():
        rows = [[rounded(value) for value in row] for row in zip(*table.values(), strict=True)]
        write_csv(folder / f"{name}.csv", list(table), rows)
    guard, detection = results.systems["guard"], []
    for control in (name for name in guard if name.startswith("control_")):
        name, benign = control.removeprefix("control_"), guard[control]["false_positive_rate"]
        if "recall" in guard.get(name, {}):
            recall = guard[name]["recall"]
            cells = (recall.mean, *recall.interval, benign.mean, *benign.interval)
            detection.append([name, *(rounded(cell) for cell in cells)])
    header = ["transform", "recall", "recall_low", "recall_high"]
    header += ["control_false_positive_rate", "control_low", "control_high"]
    write_csv(folder / "detection.csv", header, detection)
    changes = zip(params.var.seeds, results.var["change"], results.var["interval"], strict=True)
    rows = [[seed, *(rounded(cell) for cell in (change, *bounds))] for seed, change, bounds in changes]
    write_csv(folder / "var.csv", ["seed", "perplexity_change", "low", "high"], rows)
    write_csv(folder / "var_front.csv", var_figures.HEADER, var_figures.front_rows(results.var["search"]))


def _sources(params: Params) -> dict[str, str]:
    """Figure name -> the file it shows and the start of its hash."""
    sources = {}
    for name in ("detection", "routing", "router_scores", "roc", "reliability", "var", "var_front"):
        path = paths.PLOTS / f"{name}.csv"
        sources[name] = f"{path.as_posix()} {digest(path)}"
    logs = [paths.TRAINING / f"{paths.seed_name(seed)}.csv" for seed in params.seeds]
    return sources | {"training": f"{paths.TRAINING.as_posix()} {digest(*logs)}"}
