"""Which rows the peers score."""

from collections.abc import Sequence

from tinyguardrail.data.records import Record, read_records
from tinyguardrail.data.sampling import evenly_spaced_sample
from tinyguardrail_paper.settings.paths import SPLITS

NUMBERED = ("validation", "test")  # in the order in which the guard's benchmark numbers rows


def peer_rows(splits: Sequence[str], per_group: int | None) -> dict[int, Record]:
    """The rows of some splits by their number among all validation and test rows.

    Args:
        per_group: at most, evenly spaced, of those alike in split, label, source, family and transform:
            what every test set is made of. None takes all.
    """
    records = [record for split in NUMBERED for record in read_records(SPLITS / f"{split}.parquet")]
    groups: dict[tuple[str, ...], list[int]] = {}
    for row, record in enumerate(records):
        if record.split in splits:
            key = (record.split, record.label, record.source, record.family, record.transform)
            groups.setdefault(key, []).append(row)
    samples = [evenly_spaced_sample(rows, per_group or len(rows)) for rows in groups.values()]
    return {row: records[row] for row in sorted(row for rows in samples for row in rows)}
