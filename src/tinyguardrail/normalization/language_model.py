"""How much a text looks like text: a hashed character n-gram model and hashed word pairs, in microseconds.

Characters: n-grams up to `ORDER` with absolute discounting (Ney et al., "On structuring probabilistic
dependences in stochastic language modelling", 1994); an n-gram that was not kept backs off at a fixed price
(Brants et al., "Large Language Models in Machine Translation", 2007, section 4). Word pairs tell orders of
the same words apart, which characters alone hardly do. Everything lies in two hash tables of 16-bit cells,
8 bits to recognize the entry and 8 bits of value, and in a list of frequent words.
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple, Self
from zlib import crc32

import numpy as np

from tinyguardrail_common.errors import UserError
from tinyguardrail_common.files import atomic_file

ORDER = 5
DISCOUNT = 0.75
BACKOFF = 0.9  # nats for every order that is missing
STEPS_PER_NAT = 20  # values are stored to 0.05 nats
FLOOR = 255 / STEPS_PER_NAT
MAX_ENTRIES = 1_400_000  # n-grams kept, the most frequent ones: a table of 4 MB
MAX_PAIRS = 350_000
MAX_WORDS = 40_000
CHARS_PER_TEXT = 600  # read of one text, lest a few long ones decide
MIN_WORD_COUNT = 4
PAIR_PRIOR = 0.5  # added to the observed and the expected count of a pair
COUNT_STEPS = 16  # stored steps per nat of a count
FORMAT = 1

_BASE = np.uint64(0x9E3779B97F4A7C15)
_MIXER = np.uint64(0xD6E8FEB86659FD93)
_POWERS = np.array([pow(int(_BASE), power, 2**64) for power in range(ORDER)], np.uint64)
_SEEDS = np.arange(1, ORDER + 1, dtype=np.uint64)[:, None] * np.uint64(0xA0761D6478BD642F)
EDGE, CAPITAL_GAP, DIGIT = 1, 2, 48  # symbols: end of text, space before a capital, any digit
_FOLDED = 0x2000  # code points below have a lower case here; above, case hardly occurs
_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")


def _lower_case() -> tuple[np.ndarray, np.ndarray]:
    """Symbol of every code point below `_FOLDED`, and whether it is a capital."""
    symbols, capital = np.arange(_FOLDED, dtype=np.uint64), np.zeros(_FOLDED, bool)
    for code in range(_FOLDED):
        lower = chr(code).lower()
        if len(lower) == 1 and ord(lower) != code:
            symbols[code], capital[code] = ord(lower), True
    symbols[ord("0") : ord("9") + 1] = DIGIT
    symbols[[ord("\t"), ord("\r"), 0xA0]] = ord(" ")
    return symbols, capital


_SYMBOLS, _CAPITALS = _lower_case()


class LanguageModelFileError(UserError):
    """A file that is not a saved model."""


class _Table(NamedTuple):
    """Entries by hash. S = slots, a power of two."""

    cells: np.ndarray  # (S,) uint16: fingerprint << 8 | value, 0 = empty

    @classmethod
    def build(cls, hashes: np.ndarray, values: np.ndarray, weights: np.ndarray) -> Self:
        """Of two entries in one slot the heavier one stays; values are 1 to 255."""
        bits = max(8, int(len(hashes) * 1.4).bit_length())
        cells = np.zeros(2**bits, np.uint16)
        order = np.argsort(weights, kind="stable")
        slots, marks = cls._place(hashes[order], bits)
        cells[slots] = marks << np.uint16(8) | values[order].astype(np.uint16)
        return cls(cells)

    def lookup(self, hashes: np.ndarray) -> np.ndarray:
        """Values of the same shape, uint8; 0 where there is no such entry."""
        slots, marks = self._place(hashes, len(self.cells).bit_length() - 1)
        found = self.cells[slots]
        return ((found >> np.uint16(8)) == marks) * found.astype(np.uint8)

    @staticmethod
    def _place(hashes: np.ndarray, bits: int) -> tuple[np.ndarray, np.ndarray]:
        mixed = (hashes ^ (hashes >> np.uint64(31))) * _MIXER
        marks = (mixed >> np.uint64(8)).astype(np.uint8).astype(np.uint16)
        return (mixed >> np.uint64(64 - bits)).view(np.int64), marks


class CharacterLanguageModel:
    """Scores of text; in nats, the higher the more like the texts that it was fitted on.

    >>> model = CharacterLanguageModel.fit(texts)
    >>> model.score("What is the capital of Peru?") > model.score("?ureP fo latipac eht si tahW")
    True
    """

    def __init__(self, characters: np.ndarray, pairs: np.ndarray, words: Sequence[str], tokens: int):
        """The tables' cells, the frequent words with the most frequent first, and the count of all words."""
        self._characters = _Table(characters)
        self._pairs = _Table(pairs)
        self.words = list(words)
        self.rank = {word: rank for rank, word in enumerate(self.words)}
        self.tokens = tokens
        self._log_probability = np.arange(256, dtype=np.float32) / -STEPS_PER_NAT
        self._count = np.exp((np.arange(256) - 1) / COUNT_STEPS)
        self._count[0] = 0.0

    @classmethod
    def fit(cls, texts: Iterable[str]) -> Self:
        """Count the first `CHARS_PER_TEXT` characters of every text.

        Raises:
            ValueError: there is no text.
        """
        clipped = [text[:CHARS_PER_TEXT] for text in texts if text.strip()]
        if not clipped:
            raise ValueError("no text to fit on; pass at least one that is not empty")
        characters = _Table.build(*_count_ngrams(clipped))
        counts: Counter[str] = Counter()
        pairs: Counter[tuple[str, str]] = Counter()
        for text in clipped:
            words = ["", *split_words(text), ""]
            counts.update(words)
            pairs.update(pairwise(words))
        kept = {word: count for word, count in counts.items() if count > 1}
        common = {pair: count for pair, count in pairs.most_common(MAX_PAIRS) if count > 1}
        first, second = (hashes_of(pair[side] for pair in common) for side in (0, 1))
        hashes = np.concatenate((hashes_of(kept), pair_hash(first, second)))
        weights = np.array([*kept.values(), *common.values()], np.float64)
        values = np.clip(np.round(np.log(np.maximum(weights, 1)) * COUNT_STEPS) + 1, 1, 255)
        frequent = [word for word, count in counts.most_common() if count >= MIN_WORD_COUNT and len(word) > 1]
        table = _Table.build(hashes, values.astype(np.uint8), weights)
        return cls(characters.cells, table.cells, frequent[:MAX_WORDS], counts.total())

    def log_probabilities(self, text: str) -> np.ndarray:
        """(T,) float32: log-probability of each character, T = len(text), given those before it."""
        symbols = symbols_of(text)
        padded = np.concatenate((np.full(ORDER - 1, EDGE, np.uint64), symbols))
        values = self._characters.lookup(_ngram_hashes(padded))
        scores = np.full(len(symbols), -FLOOR, np.float32)
        for found in values:  # from single characters up
            scores = np.where(found, self._log_probability[found], scores - BACKOFF)
        return np.maximum(scores, -FLOOR, out=scores)

    def score(self, text: str) -> float:
        """Mean log-probability of a character; 0 for an empty text."""
        scores = self.log_probabilities(text)
        return float(scores.mean()) if len(scores) else 0.0

    def associations(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """(P,) how much oftener than by chance one word follows the other, in nats.

        Args:
            first, second: (P,) uint64 hashes of words from `word_hash`.
        """
        together = self._count[self._pairs.lookup(pair_hash(first, second))]
        apart = self._count[self._pairs.lookup(np.concatenate((first, second)))]
        expected = apart[: len(first)] * apart[len(first) :] / self.tokens
        return np.log((together + PAIR_PRIOR) / (expected + PAIR_PRIOR))

    def save(self, path: Path | str) -> None:
        """One compressed .npz without pickled objects, whole or not at all; its folder is made."""
        with atomic_file(path) as temporary, temporary.open("wb") as file:
            np.savez_compressed(
                file,
                format=np.int64(FORMAT),
                characters=self._characters.cells,
                pairs=self._pairs.cells,
                words=np.frombuffer("\n".join(self.words).encode(), np.uint8),
                tokens=np.int64(self.tokens),
            )

    @classmethod
    def load(cls, path: Path | str) -> Self:
        """What `save` wrote.

        Raises:
            LanguageModelFileError: the file is missing, damaged or of another format.
        """
        try:
            with np.load(path, allow_pickle=False) as saved:
                if int(saved["format"]) != FORMAT:
                    raise ValueError(f"format {int(saved['format'])}, expected {FORMAT}")
                words = saved["words"].tobytes().decode()
                return cls(
                    saved["characters"],
                    saved["pairs"],
                    words.split("\n") if words else [],
                    int(saved["tokens"]),
                )
        except Exception as error:  # zipfile, numpy and the codecs raise classes of their own
            raise LanguageModelFileError(
                f"{path}: not a saved character language model ({error}); fit one and save it there"
            ) from error


def split_words(text: str) -> list[str]:
    """Runs of letters and digits, in lower case."""
    return _WORD.findall(text.lower())


def word_hash(word: str) -> int:
    """64 bits, the same in every process; the empty string stands for the edge of a text."""
    return crc32(word.encode("utf-8", "surrogatepass")) * 0x9E3779B1


def hashes_of(words: Iterable[str]) -> np.ndarray:
    """(W,) uint64 `word_hash` of each word."""
    return np.fromiter(map(word_hash, words), np.uint64)


def pair_hash(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """(P,) uint64, of the hashes (P,) of the first and the second words; not symmetric."""
    return (first * np.uint64(0xBF58476D1CE4E5B9) ^ (first >> np.uint64(29))) + second * _BASE


def symbols_of(text: str) -> np.ndarray:
    """(T,) uint64: code points in lower case, digits as one, a space before a capital as `CAPITAL_GAP`."""
    codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
    if codes.max(initial=0) < _FOLDED:
        symbols, capital = _SYMBOLS[codes], _CAPITALS[codes]
    else:
        low = np.minimum(codes, _FOLDED - 1)
        symbols = np.where(codes < _FOLDED, _SYMBOLS[low], codes.astype(np.uint64))
        capital = _CAPITALS[low] & (codes < _FOLDED)
    gaps = symbols[:-1]
    gaps[(gaps == 32) & capital[1:]] = CAPITAL_GAP
    return symbols


def _ngram_hashes(padded: np.ndarray) -> np.ndarray:
    """(ORDER, T) hashes of the n-grams that end at each symbol; `padded` has ORDER - 1 symbols before."""
    length = len(padded) - ORDER + 1
    hashes = np.empty((ORDER, length), np.uint64)
    hashes[0] = padded[ORDER - 1 :]
    for back in range(1, ORDER):
        start = ORDER - 1 - back
        np.multiply(padded[start : start + length], _POWERS[back], out=hashes[back])
        hashes[back] += hashes[back - 1]
    hashes += _SEEDS
    return hashes


def _count_ngrams(texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Hashes, stored values and counts of the n-grams that are kept."""
    edge = np.full(ORDER - 1, EDGE, np.uint64)
    padded = np.concatenate([part for text in texts for part in (edge, symbols_of(text))])
    real = np.concatenate(
        [np.arange(ORDER - 1 + len(text)) >= ORDER - 1 for text in texts]  # edges are no characters
    )[ORDER - 1 :]
    kept: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
    shorter = shorter_probabilities = None
    all_hashes = _ngram_hashes(padded)
    for order, hashes in enumerate(all_hashes, start=1):
        grams, first, counts = np.unique(hashes[real], return_index=True, return_counts=True)
        place = np.flatnonzero(real)[first]
        if shorter is None:
            probabilities = counts / counts.sum()
        else:
            # The context ends one symbol earlier; it is counted with the grams that it begins.
            context = all_hashes[order - 2][np.maximum(place - 1, 0)]
            _, group = np.unique(context, return_inverse=True)
            total = np.bincount(group, counts)
            kinds = np.bincount(group)
            lower = shorter_probabilities[np.searchsorted(shorter, all_hashes[order - 2][place])]
            probabilities = (counts - DISCOUNT + DISCOUNT * kinds[group] * lower) / total[group]
        common = counts > (1 if order > 2 else 0)
        kept.append((grams[common], probabilities[common], counts[common]))
        shorter, shorter_probabilities = grams, probabilities
    hashes, probabilities, counts = (np.concatenate(column) for column in zip(*kept, strict=True))
    if len(hashes) > MAX_ENTRIES:
        top = np.argpartition(-counts, MAX_ENTRIES)[:MAX_ENTRIES]
        hashes, probabilities, counts = hashes[top], probabilities[top], counts[top]
    values = np.clip(np.round(-np.log(probabilities) * STEPS_PER_NAT), 1, 255)
    return hashes, values.astype(np.uint8), counts
