"""Flips, letter ciphers and rearranged words: the part of a text that reads better once it is undone.

A view is made of the whole text, and every character gains or loses by it. The part that gains most in sum is
the hidden one, because plain text around it would lose: no wording around it needs to be known.
"""

import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from tinyguardrail.attacks.alphabets import atbash, shift_table
from tinyguardrail.attacks.character_injection import TURNED, turn_upside_down
from tinyguardrail.attacks.codechameleon import interleave, reverse_words
from tinyguardrail.attacks.flip import reverse, reverse_in_words
from tinyguardrail.normalization.language_model import CharacterLanguageModel, split_words, word_hash
from tinyguardrail.normalization.segments import segments

# Fixed on validation rows, see benchmarks/normalize.py.
SUSPICIOUS = -3.4  # nats per character over WINDOW characters; plain text seldom falls below
WINDOW = 16
CHARACTER_GAIN = 0.7  # nats that every character gains, on average
TOTAL_GAIN = 10.0  # nats that the whole text gains
PART_GAIN = 20.0  # nats that a part with natural bounds gains
MIN_LETTERS = 10  # of a part
LOOSE_GAIN = 40.0  # nats that a part without natural bounds gains
READABLE = -3.4  # nats per character of the part once it is undone, unless every character gains
STRONG_GAIN = 1.2  # nats
WORD_ORDER_GAIN = 8.0  # nats that a part gains beyond WORD_ORDER_MEAN
MIDDLE_GAIN = 25.0  # the same for a part with text on both sides
WORD_ORDER_MEAN = 0.45  # nats for every word
PAIR_GAIN = 1.5  # nats that word pairs gain, without the characters
READABLE_ORDER = -3.3  # nats per character of the words in their new order
LEAD = 40  # characters before a colon that are left out
LEAD_GAIN = 12.0  # nats, although they gain as much
MAX_ORDERS = 8  # orders whose characters are looked at
ORDERED = 1.3  # mean association of neighboring words above which an order is not doubted
MIN_WORDS = 4
CIPHER_SAMPLE = 40  # least plausible characters, on which the shifts of a Caesar cipher are chosen
MAX_SHIFTS = 2  # best ones that are looked at in full
STRUCTURE_SHARE = 0.8  # of the best gain that a part with natural bounds must have

NO_WORD = 1  # the hash of none

_WORD = re.compile(r"\S+")
_TURNED = re.compile("[" + re.escape("".join(c for c in TURNED if ord(c) > 0xFF)) + "]")
_SHIFTS = [shift_table(shift) for shift in range(26)]


class Part(NamedTuple):
    start: int
    end: int
    plain: str
    step: str
    gain: float


def undo_characters(text: str, model: CharacterLanguageModel) -> Part | None:
    """The best part under a flip of characters or a cipher of letters; None where nothing clearly gains."""
    scores = model.log_probabilities(text)
    sums = _sums(scores)
    if not _is_suspicious(sums):
        return None
    parts = segments(text)
    best: Part | None = None
    for name, view, aligned in _views(text, scores, model):
        seen = view(text)
        gain = model.log_probabilities(seen)
        gain = (gain[::-1] if aligned < 0 else gain) - scores
        found = best_part(text, _sums(gain - CHARACTER_GAIN), parts)
        if found is None:
            continue
        start, end = found
        plain = view(text[start:end])
        if sum(map(str.isalpha, plain)) < MIN_LETTERS and end - start < len(text):
            continue
        exact = float(model.log_probabilities(plain).sum() - (sums[end] - sums[start]))
        needed = TOTAL_GAIN if end - start > 0.9 * len(text) else PART_GAIN if found in parts else LOOSE_GAIN
        if exact < max(needed, CHARACTER_GAIN * (end - start)):
            continue
        if exact < STRONG_GAIN * (end - start) and exact + sums[end] - sums[start] < READABLE * (end - start):
            continue
        if best is None or exact > best.gain:
            best = Part(start, end, plain, name, exact)
    return best


def _views(
    text: str, scores: np.ndarray, model: CharacterLanguageModel
) -> Iterator[tuple[str, Callable[[str], str], int]]:
    """Name, function, and -1 where its characters come in the opposite order."""
    if len(_TURNED.findall(text)) > 2:
        yield "upside_down", turn_upside_down, -1
    yield "flip_characters", reverse, -1
    yield "flip_characters_in_words", reverse_in_words, 1
    worst = _worst_sample(text, scores)
    if sum(character.isascii() and character.isalpha() for character in worst) * 3 > len(worst):
        yield "atbash", atbash, 1
        for shift in _best_shifts(worst, model):
            yield "caesar", _shift(shift), 1


def _shift(shift: int) -> Callable[[str], str]:
    return lambda text: text.translate(_SHIFTS[shift])


def _worst_sample(text: str, scores: np.ndarray) -> str:
    if len(text) <= CIPHER_SAMPLE:
        return text
    sums = _sums(scores)
    start = int((sums[CIPHER_SAMPLE:] - sums[:-CIPHER_SAMPLE]).argmin())
    return text[start : start + CIPHER_SAMPLE]


def _best_shifts(sample: str, model: CharacterLanguageModel) -> list[int]:
    """The shifts under which a sample reads best; none where it is best as it is."""
    shifted = "\n".join(sample.translate(table) for table in _SHIFTS)
    scores = np.append(model.log_probabilities(shifted), 0).reshape(26, len(sample) + 1)
    best = scores.sum(1).argsort()[::-1][:MAX_SHIFTS]
    return [int(shift) for shift in best if shift] if best[0] else []


def _sums(values: np.ndarray) -> np.ndarray:
    return np.concatenate(([0.0], np.cumsum(values, dtype=np.float64)))


def _is_suspicious(sums: np.ndarray) -> bool:
    window = min(WINDOW, len(sums) - 1)
    return bool(window >= 4 and (sums[window:] - sums[:-window]).min() < SUSPICIOUS * window)


def best_part(text: str, sums: np.ndarray, parts: list[tuple[int, int]]) -> tuple[int, int] | None:
    """The part that gains most: one with natural bounds where that is nearly as good as any."""
    lowest = np.minimum.accumulate(sums)
    end = int((sums - lowest).argmax())
    start = int(sums[: end + 1].argmin())
    most = sums[end] - sums[start]
    if most <= 0:
        return None
    if parts:
        gains = [sums[stop] - sums[begin] for begin, stop in parts]
        best = int(np.argmax(gains))
        if gains[best] >= STRUCTURE_SHARE * most:
            return parts[best]
    while start and not text[start - 1].isspace():
        start -= 1
    while end < len(text) and not text[end].isspace():
        end += 1
    return start, end


def undo_word_order(text: str, model: CharacterLanguageModel) -> Part | None:
    """The best part with its words in reverse, or its first half spread over the odd places."""
    tokens = list(_WORD.finditer(text))
    if len(tokens) < MIN_WORDS:
        return None
    starts = np.array([token.start() for token in tokens])
    first, last = _edge_hashes([token[0] for token in tokens])
    sums = _sums(model.associations(last[:-1], first[1:]))
    orders = []
    for start, end in segments(text):
        one, two = np.searchsorted(starts, (start, end))
        if two - one >= MIN_WORDS and sums[two - 1] - sums[one] < ORDERED * (two - one - 1):
            orders += _orders(text, start, end, model)
    return _best_order(text, orders, model)


class _Order(NamedTuple):
    gain: float  # nats, by word pairs alone
    start: int
    end: int
    view: Callable[[str], str]
    name: str
    words: int


def _orders(text: str, start: int, end: int, model: CharacterLanguageModel) -> list[_Order]:
    """Both orders of one part; words are what stands between single spaces, as where they were rearranged."""
    first, last = _edge_hashes(text[start:end].split(" "))
    count = len(first)
    edge = np.array([word_hash("")], np.uint64)
    places = np.arange(count)
    ways = (places, places[::-1], np.argsort(np.concatenate((places[::2], places[1::2]))))
    before = np.concatenate([np.concatenate((edge, last[way])) for way in ways])
    after = np.concatenate([np.concatenate((first[way], edge)) for way in ways])
    given, backward, spread = model.associations(before, after).reshape(3, count + 1).sum(1)
    return [
        _Order(backward - given, start, end, reverse_words, "flip_word_order", count),
        _Order(spread - given, start, end, interleave, "odd_even", count),
    ]


def _best_order(text: str, orders: list[_Order], model: CharacterLanguageModel) -> Part | None:
    """Of the orders that gain by their word pairs, the one that gains most by its characters too."""
    parts = []
    for gain, start, end, view, name, count in sorted(orders, key=lambda order: -order.gain)[:MAX_ORDERS]:
        if gain < PAIR_GAIN:
            break
        plain = view(text[start:end])
        scores = model.log_probabilities(plain)
        net = gain + float(scores.sum() - model.log_probabilities(text[start:end]).sum())
        net -= WORD_ORDER_MEAN * count
        at_an_end = start == 0 or end >= len(text) - 2
        if net > (WORD_ORDER_GAIN if at_an_end else MIDDLE_GAIN) and scores.mean() > READABLE_ORDER:
            parts.append(Part(start, end, plain, name, net))
    if not parts:
        return None
    best = max(parts, key=lambda part: part.gain)
    for part in parts:  # the few words before a colon gain a little by chance
        lead = part.start - best.start
        if part.end == best.end and 0 < lead < LEAD and part.gain > best.gain - LEAD_GAIN:
            return part
    return best


def _edge_hashes(tokens: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """(W,) hashes of the first and of the last word in each token, as in "end.Then"."""
    pairs = np.array([_hash_edges(token) for token in tokens], np.uint64)
    return pairs[:, 0], pairs[:, 1]


@lru_cache(16384)
def _hash_edges(token: str) -> tuple[int, int]:
    words = split_words(token)
    return (word_hash(words[0]), word_hash(words[-1])) if words else (NO_WORD, NO_WORD)
