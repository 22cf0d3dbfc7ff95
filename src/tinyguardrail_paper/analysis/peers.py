"""Guards of others as rivals: as shipped, so they block at their own threshold, whatever the policy.

They say how threatening a text is and not in which way, so a policy changes only which rows are judged.
They scored a sample of rows and were run once, which stands as seed 0.
"""

from collections.abc import Sequence

import numpy as np

from tinyguardrail.runtime.policy import POLICIES
from tinyguardrail_paper.analysis.rivals import PEER, Rival
from tinyguardrail_paper.analysis.routing import Decisions
from tinyguardrail_paper.analysis.scores import Scores
from tinyguardrail_paper.scores.peer_scores import read_peer
from tinyguardrail_paper.scores.score_table import PEERS, Columns

ONE_RUN = (0,)


def peer_system(name: str) -> str:
    """A peer in `results/metrics.json`, under the policy `any`."""
    return f"{PEER}{name}"


def read_measured_peers(scores: Scores, names: Sequence[str]) -> list[Rival]:
    """The peers of these that were measured; one that could not be installed has a file without rows.

    Raises:
        InputError: as in `read_peer`.
    """
    files = {name: PEERS.folder / f"{name}.parquet" for name in names}
    tables = {name: read_peer(name, scores.rows) for name, file in files.items() if file.is_file()}
    return [_rival(name, scores, table) for name, table in tables.items() if table is not None]


def _rival(name: str, scores: Scores, table: Columns) -> Rival:
    threat = table["score"][None]  # (1, n)
    decisions = Decisions(
        deep=np.zeros(threat.shape, dtype=bool),
        probabilities=np.stack([1 - threat, threat], axis=-1),
        threat_score=threat,
        predicted=table["blocked"][None].astype(np.int64),
        blocked=table["blocked"][None].astype(bool),
        temperature=np.ones(1),
        block_threshold=np.full(1, np.nan),
    )
    own = scores.take(table["row"]).answered(decisions.probabilities, ONE_RUN)
    views = {policy.name: (own.under(policy), decisions) for policy in POLICIES.values()}
    return Rival(peer_system(name), table["row"], views, calibrated=False)
