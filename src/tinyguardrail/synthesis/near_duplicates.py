"""Near-duplicate search: MinHash signatures cut into bands find candidates, exact Jaccard decides.

Source: Broder, "On the resemblance and containment of documents", 1997; banding as in Leskovec,
Rajaraman and Ullman, "Mining of Massive Datasets", section 3.4. With 26 bands of 5, a pair at
Jaccard 0.8 is missed with probability 3e-5, so that what is found does not depend on luck.
"""

import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import pairwise

import numpy as np
from datasketch import MinHash

SHINGLE = 5  # characters
JACCARD = 0.8
BANDS, BAND_ROWS = 26, 5
ESTIMATE = 0.65  # candidates below this share of equal signature values are four deviations under 0.8

_MIXERS = np.random.default_rng(0).integers(1, 2**63, BAND_ROWS, np.uint64) | np.uint64(1)


def fold_text(text: str) -> str:
    """What two texts must share to count as exact copies: letter case and white space folded."""
    return " ".join(text.casefold().split())


def shingles(text: str) -> set[str]:
    """All pieces of five characters of the folded text; a shorter text is one piece."""
    folded = fold_text(text)
    return {folded[start : start + SHINGLE] for start in range(max(1, len(folded) - SHINGLE + 1))}


def jaccard(left: set[str], right: set[str]) -> float:
    """Size of the intersection over the size of the union."""
    shared = len(left & right)
    return shared / (len(left) + len(right) - shared)


def signatures(texts: Iterable[str]) -> np.ndarray:
    """(N, BANDS * BAND_ROWS) uint32: the MinHash signature of each text."""
    pieces = ([piece.encode("utf-8", "surrogatepass") for piece in shingles(text)] for text in texts)
    hashes = MinHash.generator(pieces, num_perm=BANDS * BAND_ROWS, hashfunc=zlib.crc32)
    return np.array([each.hashvalues for each in hashes], np.uint32).reshape(-1, BANDS * BAND_ROWS)


class NearDuplicates:
    """Texts known so far; `find` says for new texts which known text each one nearly repeats.

    Memory is about 830 bytes a known text; `read` gives the text of a row.
    """

    def __init__(self, read: Callable[[int], str]) -> None:
        self._rows: list[np.ndarray] = []
        self._signatures: list[np.ndarray] = []
        self._sorted: tuple[np.ndarray, np.ndarray] | None = None
        self._shingles = lru_cache(maxsize=8192)(lambda row: shingles(read(row)))

    def add(self, rows: np.ndarray, signed: np.ndarray) -> None:
        """Make texts known: their row numbers, (N,), and signatures, (N, BANDS * BAND_ROWS)."""
        self._rows.append(rows)
        self._signatures.append(signed)
        self._sorted = None

    def find(self, texts: Sequence[str], signed: np.ndarray) -> Iterator[int | None]:
        """For each text the row of a known text at Jaccard 0.8 or more, or None."""
        candidates = self._candidates(signed)
        rows = self._rows[0] if self._rows else np.zeros(0, np.int32)
        for text, places in zip(texts, candidates, strict=True):
            own = shingles(text) if len(places) else set()
            near = (rows[place] for place in places if jaccard(own, self._shingles(rows[place])) >= JACCARD)
            yield next(near, None)

    def _candidates(self, signed: np.ndarray) -> list[np.ndarray]:
        """For each signature the places of known ones that share a band and look alike, nearest first."""
        if not self._rows:
            return [np.zeros(0, np.int64)] * len(signed)
        order, keys = self._index()
        known = self._signatures[0]
        pairs = []
        for band, wanted in enumerate(_band_keys(signed).T):
            low = np.searchsorted(keys[band], wanted, "left")
            count = np.searchsorted(keys[band], wanted, "right") - low
            new = np.repeat(np.arange(len(signed)), count)
            within = np.arange(len(new)) - np.repeat(np.cumsum(count) - count, count)
            pairs.append(np.stack([new, order[band][np.repeat(low, count) + within]]))
        new, old = np.unique(np.concatenate(pairs, axis=1), axis=1)
        found: list[np.ndarray] = []
        starts = np.searchsorted(new, np.arange(len(signed) + 1))
        for row, (start, end) in enumerate(pairwise(starts)):
            places = old[start:end]
            alike = (known[places] == signed[row]).mean(axis=1)
            nearest = np.argsort(-alike, kind="stable")
            found.append(places[nearest][alike[nearest] >= ESTIMATE])
        return found

    def _index(self) -> tuple[np.ndarray, np.ndarray]:
        """Per band, the places of all known texts sorted by their key, and those keys."""
        if self._sorted is None:
            self._rows = [np.concatenate(self._rows)]
            self._signatures = [np.concatenate(self._signatures)]
            keys = _band_keys(self._signatures[0]).T
            order = np.argsort(keys, axis=1, kind="stable").astype(np.int32)
            self._sorted = order, np.take_along_axis(keys, order, axis=1)
        return self._sorted


def _band_keys(signed: np.ndarray) -> np.ndarray:
    """(N, BANDS) uint64: one number for the values of each band."""
    bands = signed.reshape(-1, BANDS, BAND_ROWS).astype(np.uint64)
    return (bands * _MIXERS).sum(axis=2, dtype=np.uint64)
