"""Rows to a peer's scorer and its answers back: one process, one line a row each way."""

import json
import math
import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, Any

from tinyguardrail_common.errors import UserError
from tinyguardrail_common.progress import progress
from tinyguardrail_paper.experiments.peers.environment import python_of
from tinyguardrail_paper.experiments.peers.facts import Peer

Answer = dict[str, Any]
MISSING = object()


class PeerError(UserError):
    """A peer that did not score every row; the message names the row."""


def score_rows(peer: Peer, environment: Path, texts: Mapping[int, str], threads: int) -> list[Answer]:
    """Have a peer score texts, by row.

    Returns:
        An answer per row, in order: `row`, `score` in [0, 1], `blocked`, `ms` that the call took, and what
        else the peer's scorer says.

    Raises:
        PeerError: the peer fails at a row, ends early, or answers what cannot be.
    """
    with TemporaryDirectory() as folder:
        questions, errors = Path(folder, "rows.jsonl"), Path(folder, "errors.txt")
        lines = (json.dumps({"row": row, "text": text}) + "\n" for row, text in texts.items())
        with questions.open("w", encoding="ascii") as file:
            file.writelines(lines)
        with questions.open("rb") as stdin, errors.open("wb") as stderr:
            command = [
                python_of(environment),
                "-B",
                "-E",
                "-s",
                peer.scorer,
            ]  # none of our modules or settings
            surroundings = os.environ | {"OMP_NUM_THREADS": str(threads)}
            process = subprocess.Popen(
                command, stdin=stdin, stdout=subprocess.PIPE, stderr=stderr, env=surroundings
            )
            try:
                answers = list(_answers(peer, process, list(texts), errors))
            finally:
                process.kill()
                process.wait()
    return answers


def _answers(peer: Peer, process: subprocess.Popen, rows: Sequence[int], errors: Path) -> Iterator[Answer]:
    output: IO[bytes] = process.stdout
    for row in progress(rows, f"peer {peer.name}"):
        line = output.readline()
        if not line:
            code = process.wait()
            raise PeerError(
                f"peer {peer.name}: ended with exit code {code} at row {row}: {_last_line(errors)}"
            )
        yield _checked(peer, row, line)
    if output.readline():
        raise PeerError(
            f"peer {peer.name}: answered more than the {len(rows)} rows; the last was row {rows[-1]}"
        )
    if code := process.wait():
        raise PeerError(f"peer {peer.name}: exit code {code} after row {rows[-1]}: {_last_line(errors)}")


def _checked(peer: Peer, row: int, line: bytes) -> Answer:
    try:
        answer = json.loads(line)
    except ValueError:
        answer = None
    if not isinstance(answer, dict) or answer.get("row", MISSING) != row:
        raise PeerError(f"peer {peer.name}: row {row}: answered by {line[:80]!r}")
    if "error" in answer:
        raise PeerError(f"peer {peer.name}: row {row}: {answer['error']}")
    score, blocked = answer.get("score"), answer.get("blocked")
    if not isinstance(score, float) or not math.isfinite(score) or not 0 <= score <= 1:
        raise PeerError(f"peer {peer.name}: row {row}: score {score!r} is no probability")
    if not isinstance(blocked, bool):
        raise PeerError(f"peer {peer.name}: row {row}: blocked is {blocked!r}, neither true nor false")
    return answer


def _last_line(file: Path) -> str:
    lines = file.read_text(encoding="utf-8", errors="replace").split("\n")
    return next((line.strip() for line in reversed(lines) if line.strip()), "it printed nothing")
