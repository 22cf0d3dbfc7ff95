"""The guard as a command: one JSON line per text, and a threshold for your own traffic.

Other installed packages add commands of their own by an entry point of the group `tinyguardrail.commands`.
"""

import json
import sys
from importlib.metadata import entry_points
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from tinyguardrail.runtime.guard import Guard
from tinyguardrail.runtime.policy import ANY, POLICIES, policy_named
from tinyguardrail.runtime.threshold import blocking_threshold
from tinyguardrail.runtime.verdict import Verdict
from tinyguardrail_common.errors import UserError, one_line_errors
from tinyguardrail_common.progress import progress

app = typer.Typer(add_completion=False, help="TinyGuardrail: is this input safe to hand to a language model?")
for _command in entry_points(group="tinyguardrail.commands"):
    app.add_typer(_command.load(), name=_command.name)

Model = Annotated[Path, typer.Option(help="Folder that the export stage wrote.")]
Precision = Annotated[str, typer.Option(help="int8 or fp32.")]
Threads = Annotated[int | None, typer.Option(min=1, help="Threads of ONNX Runtime.")]
RouterThreshold = Annotated[
    float | None, typer.Option(help="Score at or above which the deep branch decides.")
]
Temperature = Annotated[
    float | None, typer.Option(min=0.01, help="Divides the logits; the model folder's own when not given.")
]
PolicyName = Annotated[str, typer.Option("--policy", help=f"What is blocked: {', '.join(POLICIES)}.")]
DEFAULT_MODEL = Path("models/onnx/seed0")


@app.command()
def classify(
    texts: Annotated[
        list[str] | None, typer.Argument(help="Texts; lines of standard input when none.")
    ] = None,
    model: Model = DEFAULT_MODEL,
    precision: Precision = "int8",
    threads: Threads = None,
    router_threshold: RouterThreshold = None,
    temperature: Temperature = None,
    blocking: Annotated[
        float | None,
        typer.Option(
            "--blocking-threshold",
            min=0,
            max=1,
            help="Score of the policy at or above which a text is blocked; the model folder's own when not "
            "given.",
        ),
    ] = None,
    policy: PolicyName = ANY,
) -> None:
    """Classify texts and print a JSON object for each."""
    with one_line_errors():
        guard = Guard.load(
            model,
            precision,
            threads,
            router_threshold=router_threshold,
            temperature=temperature,
            blocking_threshold=blocking,
            policy=policy,
        )
        for text in texts or (line.rstrip("\n") for line in sys.stdin):
            typer.echo(json.dumps(_as_json(guard.classify(text)), ensure_ascii=False))


@app.command()
def calibrate(
    benign: Annotated[typer.FileText, typer.Argument(help="Your harmless texts, one a line; - reads stdin.")],
    target: Annotated[
        float, typer.Option(min=0, max=1, help="False-positive rate to stay under on such texts.")
    ] = 0.01,
    model: Model = DEFAULT_MODEL,
    precision: Precision = "int8",
    threads: Threads = None,
    router_threshold: RouterThreshold = None,
    temperature: Temperature = None,
    policy: PolicyName = ANY,
) -> None:
    """Find the blocking threshold that suits your own benign traffic; give it to `classify`."""
    with one_line_errors():
        if not 0 < target < 1:
            raise UserError(f"--target {target} must lie between 0 and 1, both left out")
        chosen = policy_named(policy)
        guard = Guard.load(
            model, precision, threads, router_threshold=router_threshold, temperature=temperature
        )
        texts = [text for line in benign if (text := line.rstrip("\n")).strip()]
        scores = [chosen.score(guard.score([text]).probabilities[0]) for text in progress(texts, "benign")]
        found = {
            "policy": policy,
            "blocking_threshold": blocking_threshold(np.array(scores), target),
            "target_false_positive_rate": target,
            "texts": len(texts),
        }
        typer.echo(json.dumps(found))


def _as_json(verdict: Verdict) -> dict[str, object]:
    return {
        "intent": verdict.intent,
        "label": verdict.label,
        "threat_probability": round(verdict.threat_probability, 4),
        "probabilities": {name: round(value, 4) for name, value in verdict.probabilities.items()},
        "blocked": verdict.blocked,
        "policies": dict(verdict.policies),
        "branch": "deep" if verdict.deep else "fast",
        "obfuscation": verdict.obfuscation,
        "truncated": verdict.truncated,
        "response": f"0x{verdict.response.encode():04x}",
    }
