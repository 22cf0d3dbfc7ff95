"""How long a peer takes for one text, from the string to the verdict."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from tinyguardrail_common.machine import cores, processor
from tinyguardrail_paper.experiments.peers.environment import make_environment
from tinyguardrail_paper.experiments.peers.facts import Peer
from tinyguardrail_paper.experiments.peers.scoring import Answer, score_rows


def percentiles(answers: Sequence[Answer]) -> dict[str, float]:
    """p50, p95, p99 and mean of the time that the peer's own call took, in milliseconds."""
    times = np.array([answer["ms"] for answer in answers])
    levels = {f"p{level}_ms": float(np.percentile(times, level)) for level in (50, 95, 99)}
    return {name: round(value, 3) for name, value in {**levels, "mean_ms": float(times.mean())}.items()}


def time_peer(peer: Peer, texts: Sequence[str], threads: int, warmup: int) -> dict[str, Any]:
    """Time single texts, in the form of the guard's timings; `warmup` texts before them are not counted.

    `threads` binds torch and linear algebra; ONNX Runtime, as stackone-defender starts it, takes all cores
    that the process may use.
    """
    rows = dict(enumerate([*texts[:warmup], *texts]))
    answers = score_rows(peer, make_environment(peer), rows, threads)[len(rows) - len(texts) :]
    return {
        "peer": peer.name,
        "version": peer.version,
        "threads": threads,
        "rows": len(texts),
        "hardware": {"cpu": processor(), "cores": cores()},
        "arms": {"as_shipped": percentiles(answers)},
    }
