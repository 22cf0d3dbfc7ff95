"""Reading what a peer gave the rows that the guard was scored on."""

import numpy as np

from tinyguardrail_paper.scores.inputs import InputError
from tinyguardrail_paper.scores.score_table import PEERS, RECORD, Columns


def read_peer(name: str, guard: Columns) -> Columns | None:
    """A peer's scores, with `row` as an index into the guard's table; None where it was not installed.

    Raises:
        InputError: as in `ScoreTable.read`, or these are other rows than the guard's.
    """
    file = PEERS.folder / f"{name}.parquet"
    table = PEERS.read(file)
    rows = table["row"]
    if not len(rows):
        return None
    if rows[-1] >= len(guard["row"]):
        raise InputError(
            f"{file}: row {rows[-1]} is not among the guard's {len(guard['row'])}; run: make peers"
        )
    for column in RECORD:
        differ = table[column] != guard[column][rows]
        if differ.any():
            row = rows[np.argmax(differ)]
            raise InputError(f"{file}: {column} of row {row} differs from the guard's; run: make peers")
    return table
