"""Score rows with one peer, and write what came of it: a table of scores, and a line of facts."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from tinyguardrail.data.records import Record
from tinyguardrail_common.files import write_json
from tinyguardrail_paper.experiments.peers.environment import ENVIRONMENTS, NotInstalled, make_environment
from tinyguardrail_paper.experiments.peers.facts import Peer
from tinyguardrail_paper.experiments.peers.latency import percentiles
from tinyguardrail_paper.experiments.peers.scoring import Answer, score_rows
from tinyguardrail_paper.scores.score_table import PEERS
from tinyguardrail_paper.settings.paths import PEER_RUNS

PROTOCOL = ("row", "score", "blocked", "ms")  # of every answer; the rest is the peer's own


def measure(
    peer: Peer,
    records: Mapping[int, Record],
    threads: int,
    allow_missing: bool = False,
    environments: Path = ENVIRONMENTS,
) -> str:
    """Write `data/scores/peers/NAME.parquet` and `results/peers/NAME.json`.

    A peer that is not installed where that is allowed has a table without rows.

    Returns:
        A line for a person: how fast it was, or why there is nothing.

    Raises:
        NotInstalled: its environment cannot be made, and that is not allowed.
        UserError: the peer cannot score a row; the row is named.
    """
    try:
        environment = make_environment(peer, environments)
    except NotInstalled as error:
        if not allow_missing:
            raise
        _write(peer, {}, [], installed=False)
        return f"{peer.name}: not installed: {error}"
    answers = score_rows(peer, environment, {row: each.text for row, each in records.items()}, threads)
    _write(peer, records, answers, installed=True)
    return f"{peer.name}: {_speed(answers)}"


def _write(peer: Peer, records: Mapping[int, Record], answers: list[Answer], installed: bool) -> None:
    own = [name for name in (answers[0] if answers else {}) if name not in PROTOCOL]
    columns = PEERS.row_columns(records)
    columns["score"] = np.array([answer["score"] for answer in answers], np.float32)
    columns |= {name: np.array([answer[name] for answer in answers]) for name in ("blocked", *own)}
    PEERS.write(PEERS.folder / f"{peer.name}.parquet", columns)
    write_json(
        PEER_RUNS / f"{peer.name}.json",
        {"peer": peer.name, "version": peer.version, "installed": installed, "rows": len(answers)},
    )


def _speed(answers: list[Answer]) -> str:
    times = percentiles(answers)
    return (
        f"{len(answers)} rows, {1e3 / times['mean_ms']:.1f} a second; "
        f"median {times['p50_ms']:.2f} ms, 95th percentile {times['p95_ms']:.2f} ms"
    )
