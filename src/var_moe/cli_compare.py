"""`tinyguardrail var compare`: results of `var_eval` against the criteria, and a grade."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tinyguardrail.cli_errors import one_line_errors


def compare_command(
    results: Annotated[list[Path], typer.Argument(help="Files results/var/seed*.json of one corpus.")],
    preset: Annotated[
        str | None, typer.Option(help="Which preset to judge; the headline one if not given.")
    ] = None,
) -> None:
    """Judge results of the var_eval stage: pass or fail for each criterion, and a grade."""
    from var_moe.compare import judge, read_results, report_text  # scipy, which the guard does without

    with one_line_errors():
        reports, timings = read_results(results)
        findings = judge(reports, timings, preset)
    typer.echo(report_text(reports, findings, preset or reports[0]["preset"]))
