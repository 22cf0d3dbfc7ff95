"""Everything that the `figures` stage writes, in one place and in one order."""

from tinyguardrail_common.errors import UserError
from tinyguardrail_common.files import atomic_file, atomic_folder, digest, write_json, write_text
from tinyguardrail_paper.analysis.evaluate import Results
from tinyguardrail_paper.document.model_card import model_card
from tinyguardrail_paper.document.numbers import headline, numbers
from tinyguardrail_paper.document.run import run_record
from tinyguardrail_paper.figures.figures import Inputs, write_figures, write_plots
from tinyguardrail_paper.scores.inputs import read_data_card, read_training
from tinyguardrail_paper.settings import paths
from tinyguardrail_paper.settings.params import Params
from tinyguardrail_paper.tables.registry import build_tables
from tinyguardrail_paper.tables.writing import write_tables
from tinyguardrail_paper.typesetting import render


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
    write_text(paths.MODEL_CARD, f"{model_card(results, tables, data_card, params)}\n")
    inputs = Inputs(results, training, params)
    with atomic_folder(paths.PLOTS) as folder:
        write_plots(folder, inputs)
    with atomic_folder(paths.TABLES) as folder:
        write_tables(folder, tables, results)
    with atomic_folder(paths.FIGURES) as folder:
        write_figures(folder, inputs)
    digests = {path.name: digest(path) for path in (paths.METRICS, paths.DATA_CARD)}
    write_json(paths.NUMBERS, numbers(results, params, data_card, tables, digests))
    with atomic_file(paths.PAPER_PDF) as temporary:
        temporary.write_bytes(render(paths.PAPER_SOURCE))
