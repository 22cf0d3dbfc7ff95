"""Reading what a peer gave the rows that the guard was scored on."""

from tinyguardrail_paper.scores.score_table import PEERS, RECORD, Columns, check_rows


def read_peer(name: str, guard: Columns) -> Columns | None:
    """A peer's scores, with `row` as an index into the guard's table; None where it was not installed.

    Raises:
        InputError: as in `ScoreTable.read`, or these are other rows than the guard's.
    """
    file = PEERS.folder / f"{name}.parquet"
    table = PEERS.read(file)
    if not len(table["row"]):
        return None
    check_rows(file, table, guard, RECORD, "make peers")
    return table
