"""VAR as commands: collect statistics, build a table, verify a log, compare results.

Everything heavy is imported when a command runs: the guard's commands share the program.
"""

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from tinyguardrail_common.errors import UserError, one_line_errors


class OneLineErrors(TyperGroup):
    """As `one_line_errors`; what VAR needs beyond the guard and is not installed is such an error too."""

    def invoke(self, context: typer.Context) -> Any:
        with one_line_errors():
            try:
                return super().invoke(context)
            except ModuleNotFoundError as error:
                how = "pip install 'tinyguardrail[var]', from a checkout '.[var]'"
                raise UserError(f"{error.name} is not installed: {how}") from None


var = typer.Typer(
    cls=OneLineErrors, help="Verifiable adaptive routing for mixtures of experts.", no_args_is_help=True
)

Text = Annotated[Path, typer.Argument(help="Text file, UTF-8.")]
Statistics = Annotated[Path, typer.Argument(help="routing_stats.parquet.")]
Table = Annotated[Path, typer.Argument(help="Routing table, a safetensors file.")]
Model = Annotated[str, typer.Option(help="Folder of a saved model with tokenizer.json, or a hub name.")]
Length = Annotated[int, typer.Option(min=2, help="Tokens of a sequence.")]


@var.command()
def verify(
    log: Annotated[Path, typer.Argument(help="Log that a wrapper wrote.")],
    table: Table,
    head: Annotated[str | None, typer.Option(help="Hash of the last record, as noted elsewhere.")] = None,
    audit_key: Annotated[str | None, typer.Option(help="Key of the audit's sample, hexadecimal.")] = None,
    still_open: Annotated[
        bool, typer.Option("--open", help="Accept a log that has no closing record yet.")
    ] = False,
) -> None:
    """Say whether the decisions in a log follow from a table; exit code 1 where they do not."""
    from var_moe.routing.table import RoutingTable
    from var_moe.routing.verification import verify as verify_log

    key = None if audit_key is None else _bytes(audit_key)
    found = verify_log(log, RoutingTable.load(table), head=head, whole=not still_open, audit_key=key)
    _print({"follows": True, **vars(found)})


@var.command()
def collect(
    text: Text,
    output: Statistics,
    model: Model,
    length: Length = 256,
    batch_size: Annotated[int, typer.Option(min=1, help="Sequences of one forward pass.")] = 8,
    device_map: Annotated[str | None, typer.Option(help='"auto" spreads a model over devices.')] = None,
) -> None:
    """Count what the stock router of a model does on a text."""
    from var_moe.mixture.loading import load_causal_lm, load_tokenizer, text_sequences, tokenizer_sha256
    from var_moe.routing.statistics import collect_statistics
    from var_moe.routing.statistics_file import save_statistics

    tokenizer = load_tokenizer(model)
    sequences = text_sequences(text, tokenizer, length)
    statistics = collect_statistics(
        load_causal_lm(model, device_map=device_map),
        sequences,
        batch_size,
        tokenizer_sha256=tokenizer_sha256(tokenizer),
    )
    save_statistics(statistics, output)
    _print({"tokens": sequences.numel(), "contexts": len(statistics.context_keys)})


@var.command()
def build(
    statistics: Statistics,
    output: Table,
    preset: Annotated[str, typer.Option(help="conservative, balanced or aggressive.")] = "balanced",
    held_out: Annotated[
        Path | None, typer.Option(help="Text to set the thresholds on; none: the statistics' own calls.")
    ] = None,
    model: Annotated[str | None, typer.Option(help="Where the tokenizer of the held-out text is.")] = None,
    length: Length = 256,
) -> None:
    """Freeze statistics into a routing table."""
    from var_moe.mixture.loading import load_tokenizer, text_sequences, tokenizer_sha256
    from var_moe.routing.config import PRESETS, VARConfig, get_config
    from var_moe.routing.statistics_file import check_tokenizer, load_statistics
    from var_moe.routing.table import build_table

    if preset not in PRESETS:
        raise UserError(f"--preset {preset!r} is none of {', '.join(PRESETS)}")
    loaded, sequences = load_statistics(statistics), None
    if held_out is None:
        config = VARConfig.from_routing_stats(statistics, preset)
    elif model is None:
        raise UserError("--held-out needs --model, whose tokenizer encodes it")
    else:
        tokenizer = load_tokenizer(model)
        check_tokenizer(loaded, tokenizer_sha256(tokenizer))
        config, sequences = get_config(preset), text_sequences(held_out, tokenizer, length)
    table = build_table(loaded, config, sequences)
    table.save(output)
    _print({"table_sha256": table.sha256(), "contexts": len(table.context_keys)})


@var.command()
def compare(
    results: Annotated[list[Path], typer.Argument(help="Files results/var/seed*.json of one corpus.")],
    preset: Annotated[
        str | None, typer.Option(help="Which preset to judge; the headline one if not given.")
    ] = None,
) -> None:
    """Judge results of the var_eval stage: met or not met for each criterion, and a grade."""
    from var_moe.evaluation.compare import judge, read_results, report_text

    reports, timings = read_results(results)
    findings = judge(reports, timings, preset)
    typer.echo(report_text(reports, findings, preset or reports[0]["preset"]))


def _bytes(digits: str) -> bytes:
    try:
        return bytes.fromhex(digits)
    except ValueError:
        raise UserError(f"--audit-key {digits!r} is not hexadecimal") from None


def _print(content: dict[str, Any]) -> None:
    typer.echo(json.dumps(content))
