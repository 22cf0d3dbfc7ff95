"""The data card: what the splits hold, in numbers that another checkout can be compared with."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from tinyguardrail.data.records import BENIGN, SPLITS, Record, content_hash
from tinyguardrail.data.registry import find_source


def data_card(records: Sequence[Record], near_duplicates: dict[str, int]) -> dict[str, Any]:
    """Counts by every column, lengths, licences and a content hash per source."""
    sources = sorted({record.source for record in records})
    return {
        "rows": len(records),
        "parents": len({record.parent_id for record in records}),
        "by_split": _count(records, "split"),
        "by_label": _count(records, "label"),
        "by_split_and_label": {
            split: _count([record for record in records if record.split == split], "label")
            for split in SPLITS
        },
        "by_source": _count(records, "source"),
        "by_family": _count(records, "family"),
        "by_transform": _count(records, "transform"),
        "by_language": _count(records, "language"),
        "near_duplicates_removed": near_duplicates,
        "duplicates_removed": sum(near_duplicates.values()),
        "characters": {
            "benign": _lengths([record for record in records if record.label == BENIGN]),
            "threat": _lengths([record for record in records if record.label != BENIGN]),
        },
        "sources": {
            name: {
                "licence": find_source(name).licence,
                "about": find_source(name).about,
                "sha256": content_hash([record for record in records if record.source == name]),
            }
            for name in sources
        },
    }


def _count(records: Sequence[Record], column: str) -> dict[str, int]:
    counts = Counter(getattr(record, column) for record in records)
    return {key: counts[key] for key in sorted(counts)}


def _lengths(records: Sequence[Record]) -> dict[str, int]:
    lengths = np.array([len(record.text) for record in records])
    return {f"p{level}": int(np.percentile(lengths, level)) for level in (5, 50, 95)}
