"""Which split a parent belongs to, and the removal of copies that would cross from one to another."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from random import Random

import numpy as np

from tinyguardrail.data.near_duplicates import NearDuplicates, normalise, signatures
from tinyguardrail.data.records import BATCH_ROWS, BENIGN, SPLITS, Record
from tinyguardrail.data.store import RecordStore
from tinyguardrail.errors import UserError
from tinyguardrail.params import Data
from tinyguardrail.progress import progress

PRECEDENCE = tuple(reversed(SPLITS))  # test rows win over validation rows, those over training rows


class SplitError(UserError):
    """A split that cannot be used."""


def assign_split(parent_id: str, seed: int, validation_fraction: float, test_fraction: float) -> str:
    """Split of a parent, from a hash alone, so that adding texts moves no other text."""
    digest = hashlib.sha256(f"{seed}:{parent_id}".encode()).digest()
    place = int.from_bytes(digest[:8], "big") / 2**64
    if place < test_fraction:
        return "test"
    return "validation" if place < test_fraction + validation_fraction else "train"


def split_of(parent_id: str, data: Data) -> str:
    """`assign_split` by the settings of the scale."""
    return assign_split(parent_id, data.split_seed, data.validation_fraction, data.test_fraction)


def quotas(wanted: int, data: Data) -> dict[str, int]:
    """How many of `wanted` rows each split gets; those of training come last."""
    held_out = {
        "validation": round(wanted * data.validation_fraction),
        "test": round(wanted * data.test_fraction),
    }
    return {**held_out, "train": wanted - sum(held_out.values())}


def paired_rows(
    setting: str, wanted: int, data: Data, pairs_of: Callable[[str, int, Random], Iterable[Record]]
) -> Iterator[Record]:
    """`wanted` benign rows, each followed by its hostile twin; training makes up for what others lack.

    Args:
        setting: of `hard_negatives`, for messages and the seed.
        pairs_of: gives both rows of up to so many pairs of a split.

    Raises:
        SplitError: the pool gives fewer; the setting is named.
    """
    lacking = 0
    for split, quota in quotas(wanted, data).items():
        target = quota + (lacking if split == "train" else 0)
        rows = list(pairs_of(split, target, Random(f"{data.split_seed}:{split}:{setting}")))
        lacking += quota - len(rows) // 2
        yield from rows
    check_pool(setting, wanted, wanted - lacking)


def check_pool(setting: str, wanted: int, found: int, also: str = "") -> None:
    """A pool of hard negatives must give what a setting asks for.

    Raises:
        SplitError: it gives fewer; the setting is named, and `also` goes on from there.
    """
    if found < wanted:
        raise SplitError(
            f"hard_negatives.{setting} asks for {wanted} texts, the pool gives {found}; lower it{also}"
        )


class LeakFilter:
    """Decides which rows of a store may stay; splits must be passed in order of precedence.

    A row falls if it nearly repeats a kept row of a split with precedence, or if it is an exact
    copy within its own split. Benchmark rows stay as published: they never fall.
    """

    def __init__(self, store: RecordStore) -> None:
        self.removed: Counter[tuple[str, str, str]] = Counter()  # (reason, source, source it repeats)
        self._store = store
        self._known = {split: NearDuplicates(lambda row: store[row].text) for split in PRECEDENCE[:-1]}
        self._copies: dict[int, int] = {}
        self._copies_of = ""

    def keep(self, rows: np.ndarray, split: str, fixed: bool = False) -> np.ndarray:
        """Those of the rows, all of one split, that may stay; `fixed` rows all do.

        Raises:
            SplitError: the split has precedence over one passed before.
        """
        if self._copies_of != split:
            if self._copies_of and PRECEDENCE.index(split) < PRECEDENCE.index(self._copies_of):
                raise SplitError(f"rows of {split} came after rows of {self._copies_of}, which they outrank")
            self._copies, self._copies_of = {}, split
        kept: list[np.ndarray] = []
        batches = range(0, len(rows), BATCH_ROWS)
        for start in progress(batches, f"duplicates in {split}"):
            kept.append(self._keep_batch(rows[start : start + BATCH_ROWS], split, fixed))
        return np.concatenate(kept) if kept else np.zeros(0, np.int32)

    def _keep_batch(self, rows: np.ndarray, split: str, fixed: bool) -> np.ndarray:
        batch = [self._store[row] for row in rows]
        texts = [record.text for record in batch]
        signed = signatures(texts)
        stays = np.ones(len(rows), bool)
        higher = () if fixed else PRECEDENCE[: PRECEDENCE.index(split)]
        for other in higher:
            for place, found in enumerate(self._known[other].find(texts, signed)):
                if found is not None and stays[place]:
                    stays[place] = False
                    self._count(f"near a {other} row", batch[place], self._store[found])
        for place in np.flatnonzero(stays):
            key = _fingerprint(texts[place])
            first = self._copies.setdefault(key, int(rows[place]))
            if first != rows[place] and not fixed:
                stays[place] = False
                self._count("copy in its split", batch[place], self._store[first])
        if split in self._known:
            self._known[split].add(rows[stays], signed[stays])
        return rows[stays]

    def _count(self, reason: str, record: Record, other: Record) -> None:
        self.removed[reason, record.source, other.source] += 1


def _fingerprint(text: str) -> int:
    return int.from_bytes(hashlib.sha256(normalise(text).encode("utf-8")).digest()[:8], "big", signed=True)


def check_counts(counts: Counter[tuple[str, str]]) -> None:
    """Every split must hold benign rows and threats; `counts` is by (split, label).

    Raises:
        SplitError: otherwise; the split is named.
    """
    for split in SPLITS:
        rows = sum(number for (where, _), number in counts.items() if where == split)
        threats = rows - counts[split, BENIGN]
        if not rows or threats in (0, rows):
            raise SplitError(
                f"split {split} has {rows} rows, {threats} of them threats; it needs both "
                "benign rows and threats: raise data.validation_fraction, data.test_fraction or add texts"
            )
