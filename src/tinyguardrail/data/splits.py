"""Which split a parent belongs to, and the removal of copies that would cross from one to another."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
from datasketch import MinHash, MinHashLSH

from tinyguardrail.data.records import SPLITS, Record
from tinyguardrail.errors import UserError
from tinyguardrail.progress import progress

SHINGLE = 5  # characters
JACCARD = 0.8
PERMUTATIONS = 64


class SplitError(UserError):
    """A split that cannot be used."""


def assign_split(parent_id: str, seed: int, validation_fraction: float, test_fraction: float) -> str:
    """Split of a parent, from a hash alone, so that adding texts moves no other text."""
    digest = hashlib.sha256(f"{seed}:{parent_id}".encode()).digest()
    place = int.from_bytes(digest[:8], "big") / 2**64
    if place < test_fraction:
        return "test"
    return "validation" if place < test_fraction + validation_fraction else "train"


def remove_near_duplicates(records: Sequence[Record]) -> tuple[list[Record], dict[str, int]]:
    """Drop rows that nearly repeat a kept row; test rows win over validation, validation over train.

    Near means an estimated Jaccard similarity of at least 0.8 between sets of five-character
    shingles (MinHash, Broder 1997).

    Returns:
        The kept rows in their old order, and the number dropped per split.
    """
    order = {split: rank for rank, split in enumerate(reversed(SPLITS))}
    index = MinHashLSH(threshold=JACCARD, num_perm=PERMUTATIONS)
    kept: set[int] = set()
    dropped = dict.fromkeys(SPLITS, 0)
    ranked = sorted(range(len(records)), key=lambda row: (order[records[row].split], row))
    signatures = MinHash.generator((shingles(records[row].text) for row in ranked), num_perm=PERMUTATIONS)
    for row, signature in progress(zip(ranked, signatures, strict=True), "near duplicates", len(ranked)):
        if index.query(signature):
            dropped[records[row].split] += 1
        else:
            index.insert(row, signature)
            kept.add(row)
    return [record for row, record in enumerate(records) if row in kept], dropped


def shingles(text: str) -> set[bytes]:
    """Five-character pieces of the text, white space and case folded."""
    folded = " ".join(text.casefold().split())
    return {folded[i : i + SHINGLE].encode() for i in range(max(1, len(folded) - SHINGLE + 1))}


def check_splits(records: Sequence[Record]) -> None:
    """Every split must hold benign rows and threats, and no parent may stand in two.

    Raises:
        SplitError: otherwise; the split or parent is named.
    """
    home: dict[str, str] = {}
    for record in records:
        if home.setdefault(record.parent_id, record.split) != record.split:
            raise SplitError(
                f"parent {record.parent_id} stands in {home[record.parent_id]} and {record.split}"
            )
    for split in SPLITS:
        threats = np.array([record.label != "benign" for record in records if record.split == split])
        if not len(threats) or threats.all() or not threats.any():
            raise SplitError(
                f"split {split} has {len(threats)} rows, {int(threats.sum())} of them threats; it needs both "
                "benign rows and threats: raise data.validation_fraction, data.test_fraction or add texts"
            )
