"""The guard as a command: one JSON line per text."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from tinyguardrail.errors import UserError
from tinyguardrail.inference.runtime import Guard, Verdict

app = typer.Typer(add_completion=False, help="TinyGuardrail: is this input safe to hand to a language model?")


@app.callback()
def _commands() -> None:
    """Keep `classify` a command of its own, for those that will stand beside it."""


@app.command()
def classify(
    texts: Annotated[
        list[str] | None, typer.Argument(help="Texts; lines of standard input when none.")
    ] = None,
    model: Annotated[Path, typer.Option(help="Folder that the export stage wrote.")] = Path(
        "models/onnx/seed0"
    ),
    precision: Annotated[str, typer.Option(help="int8 or fp32.")] = "int8",
    threads: Annotated[int | None, typer.Option(min=1, help="Threads of ONNX Runtime.")] = None,
    router_threshold: Annotated[
        float | None, typer.Option(help="Score at or above which the deep branch decides.")
    ] = None,
    temperature: Annotated[
        float, typer.Option(min=0.01, help="Divides the logits; fitted on validation data.")
    ] = 1.0,
    blocking_threshold: Annotated[
        float, typer.Option(min=0, max=1, help="Threat probability at or above which a text is blocked.")
    ] = 0.5,
) -> None:
    """Classify texts and print a JSON object for each."""
    try:
        guard = Guard.load(
            model,
            precision,
            threads,
            router_threshold=router_threshold,
            temperature=temperature,
            blocking_threshold=blocking_threshold,
        )
        for text in texts or (line.rstrip("\n") for line in sys.stdin):
            typer.echo(json.dumps(_as_json(guard.classify(text)), ensure_ascii=False))
    except UserError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from None


def _as_json(verdict: Verdict) -> dict[str, object]:
    return {
        "label": verdict.label,
        "threat_probability": round(verdict.threat_probability, 4),
        "blocked": verdict.blocked,
        "branch": "deep" if verdict.deep else "fast",
        "response": f"0x{verdict.response.encode():04x}",
    }
