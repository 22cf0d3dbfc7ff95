"""Which split a parent belongs to, and the removal of copies that would cross from one to another."""

import hashlib
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from random import Random

import numpy as np

from tinyguardrail.data.labels import BENIGN
from tinyguardrail.data.params import Data
from tinyguardrail.data.records import BATCH_ROWS, SPLITS, Record, parent_of
from tinyguardrail.synthesis.near_duplicates import NearDuplicates, fold_text, signatures
from tinyguardrail.synthesis.store import RecordStore
from tinyguardrail_common.errors import UserError
from tinyguardrail_common.progress import progress

PRECEDENCE = tuple(reversed(SPLITS))  # test rows win over validation rows, those over training rows


class SplitError(UserError):
    """A split that cannot be used."""


def split_of(parent_id: str, data: Data) -> str:
    """Split of a parent, from a hash alone, so that adding texts moves no other text."""
    digest = hashlib.sha256(f"{data.split_seed}:{parent_id}".encode()).digest()
    place = int.from_bytes(digest[:8], "big") / 2**64
    if place < data.test_fraction:
        return "test"
    return "validation" if place < data.test_fraction + data.validation_fraction else "train"


def belongs_to(split: str, data: Data) -> Callable[[str], bool]:
    """Whether an authored frame, task or topic is one of a split: it has a split as a row has."""
    return lambda text: split_of(parent_of("authored", text), data) == split


def distinct(
    candidates: Iterable[Sequence[Record]], wanted: int, compared: int = 1
) -> Generator[Record, None, int]:
    """Rows of the first `wanted` candidates, whose first `compared` texts repeat none of those before.

    Returns:
        How many candidates were taken: fewer than `wanted` where there are no more.
    """
    made: set[str] = set()
    taken = 0
    for rows in candidates:
        if taken == wanted:
            break
        texts = [row.text for row in rows[:compared]]
        if made.isdisjoint(texts):
            made.update(texts)
            taken += 1
            yield from rows
    return taken


def paired_rows(
    setting: str,
    wanted: int,
    data: Data,
    pairs_of: Callable[[Callable[[str], bool], Random], Iterable[Sequence[Record]]],
    compared: int,
) -> Iterator[Record]:
    """`wanted` benign rows, each before its hostile counterfactual; training makes up for what others lack.

    Args:
        setting: of `hard_negatives`, for messages and the seed.
        pairs_of: gives pairs made of the frames and the like that its argument says are of the split.
        compared: as in `distinct`.

    Raises:
        SplitError: the pool gives fewer; the setting is named.
    """
    lacking = 0
    quotas = {
        "validation": round(wanted * data.validation_fraction),
        "test": round(wanted * data.test_fraction),
    }
    for split, quota in {**quotas, "train": wanted - sum(quotas.values())}.items():
        target = quota + (lacking if split == "train" else 0)
        pairs = pairs_of(belongs_to(split, data), Random(f"{data.split_seed}:{split}:{setting}"))
        lacking += quota - (yield from distinct(pairs, target, compared))
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
        kept = [np.zeros(0, np.int32)]
        batches = range(0, len(rows), BATCH_ROWS)
        for start in progress(batches, f"duplicates in {split}"):
            kept.append(self._keep_batch(rows[start : start + BATCH_ROWS], split, fixed))
        return np.concatenate(kept)

    def _keep_batch(self, rows: np.ndarray, split: str, fixed: bool) -> np.ndarray:
        batch = [self._store[row] for row in rows]
        texts, sources = [record.text for record in batch], [record.source for record in batch]
        signed = signatures(texts)
        stays = np.ones(len(rows), bool)
        for other in () if fixed else PRECEDENCE[: PRECEDENCE.index(split)]:
            for place, found in enumerate(self._known[other].find(texts, signed)):
                if found is not None and stays[place]:
                    stays[place] = False
                    self.removed[f"near a {other} row", sources[place], self._store[found].source] += 1
        for place in np.flatnonzero(stays):
            key = _fingerprint(texts[place])
            first = self._copies.setdefault(key, int(rows[place]))
            if first != rows[place] and not fixed:
                stays[place] = False
                self.removed["copy in its split", sources[place], self._store[first].source] += 1
        if split in self._known:
            self._known[split].add(rows[stays], signed[stays])
        return rows[stays]


def _fingerprint(text: str) -> int:
    return int.from_bytes(hashlib.sha256(fold_text(text).encode("utf-8")).digest()[:8], "big", signed=True)


def check_counts(counts: Counter[tuple[str, str]]) -> None:
    """Every split but dev must hold benign rows and threats; `counts` is by (split, label).

    Raises:
        SplitError: otherwise; the split is named.
    """
    for split in (split for split in SPLITS if split != "dev"):
        rows = sum(number for (where, _), number in counts.items() if where == split)
        threats = rows - counts[split, BENIGN]
        if not rows or threats in (0, rows):
            raise SplitError(
                f"split {split} has {rows} rows, {threats} of them threats; it needs both "
                "benign rows and threats: raise data.validation_fraction, data.test_fraction or add texts"
            )
