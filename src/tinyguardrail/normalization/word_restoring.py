"""Words with digits for letters or with shuffled inner letters, by way of a list of frequent words."""

import re

import numpy as np

from tinyguardrail.normalization.language_model import CharacterLanguageModel
from tinyguardrail.normalization.reordering import Part, best_part
from tinyguardrail.normalization.segments import segments

# Fixed on validation rows, see benchmarks/normalize.py.
MIN_RESTORED = 2  # words
MIN_RESTORED_LETTERS = 7  # in these words together
MIN_SHUFFLED_SHARE = 0.4  # of the words of four letters or more
NUMBER_RANK = 1500  # words of two letters up to this rank are read in numbers, "70" as "to"
MUCH_RARER = 4  # "y0u" is a frequent word too, but much less so than "you"
HEAVY = 0.3  # of the words: above, numbers too may be words
TOTAL_GAIN = 15.0  # nats that a part gains where words are restored
LETTER_GAIN = 0.4  # nats that each character of the text gains where words are restored

_LOOKS = {"0": "o", "1": "i", "|": "l", "2": "z", "3": "e", "4": "a", "5": "s", "6": "g", "7": "t", "8": "b"}
_SIGNS = _LOOKS | {"9": "g", "@": "a", "$": "s", "!": "i"}
_LETTERS = {"1": "i", "4": "a"}  # words of one letter
_PLAIN = str.maketrans(_SIGNS)
_SKELETON = str.maketrans(
    {letter: sign for sign, letter in _LOOKS.items()}
    | {"l": "1", "|": "1", "!": "1"}
    | {"@": "4", "$": "5", "9": "6"}
)
_GATE = re.compile(r"[a-zA-Z][0-9|@$!]|[0-9|@$!][a-zA-Z]", re.ASCII)
_SIGNED = re.compile(r"(?:[0-9|@$]|!(?=\w)|[^\W\d_]|(?<=\w)'(?=\w))+")
_LONG_WORD = re.compile(r"[^\W\d_]{4,}")


class WordList:
    """Frequent words by what an obfuscation leaves of them."""

    def __init__(self, model: CharacterLanguageModel):
        self._model, self._rank = model, model.rank
        self._by_skeleton: dict[str, str] = {}
        self._by_ends: dict[tuple[str, str, str], str] = {}
        for word in model.words:  # the most frequent first
            if word.replace("'", "").isalpha():
                self._by_skeleton.setdefault(word.translate(_SKELETON), word)
                if len(word) > 3:
                    self._by_ends.setdefault(_ends(word), word)

    def restore(self, text: str) -> Part | None:
        """The part where words come back; None where too few do."""
        for name, view in (("leet", self.restore_signs), ("shuffled_letters", self.restore_order)):
            seen = view(text)
            if seen == text:
                continue
            gain = self._model.log_probabilities(seen) - self._model.log_probabilities(text)
            sums = np.concatenate(([0.0], np.cumsum(gain - LETTER_GAIN)))
            found = best_part(text, sums, segments(text))
            if found is None:
                continue
            start, end = found
            total = float(gain[start:end].sum())
            if total > TOTAL_GAIN:
                return Part(start, end, seen[start:end], name, total)
        return None

    def restore_signs(self, text: str) -> str:
        """Digits and signs back to letters; text with few such words stays as it is."""
        if not _GATE.search(text):
            return text
        words = _SIGNED.findall(text)
        mixed = [word for word in words if _is_mixed(word)]
        known = [word for word in mixed if self._of_signs(word) is not None]
        if len(known) < MIN_RESTORED or sum(map(len, known)) < MIN_RESTORED_LETTERS:
            return text
        heavy = len(mixed) > HEAVY * len(words)
        if not heavy and 2 * len(known) < len(mixed):
            return text
        return _SIGNED.sub(lambda word: self._read_signs(word[0], heavy), text)

    def _read_signs(self, word: str, heavy: bool) -> str:
        if word.isalpha() or not (heavy or _is_mixed(word)):
            return word
        if heavy and word.isdigit():
            known = _LETTERS.get(word) or self._by_skeleton.get(word.translate(_SKELETON))
            if known is not None and len(word) < 3 and self._rank.get(known, 0) > NUMBER_RANK:
                known = None
        else:
            known = self._of_signs(word)
        if known is not None:
            return known
        return self._spell(word) if heavy and _is_mixed(word) else word

    def _spell(self, word: str) -> str:
        """Sign by sign; 1 is i or l throughout, whichever is more plausible."""
        ways = (word.translate(_PLAIN), word.replace("1", "l").translate(_PLAIN))
        return max(ways, key=self._model.score) if "1" in word else ways[0]

    def _of_signs(self, word: str) -> str | None:
        lower = word.lower()
        known = self._by_skeleton.get(lower.translate(_SKELETON))
        own_rank = self._rank.get(lower, len(self._rank) * MUCH_RARER)
        return known if known is not None and self._rank[known] * MUCH_RARER <= own_rank else None

    def restore_order(self, text: str) -> str:
        """Inner letters back in order where most words are no words as they stand."""
        words = _LONG_WORD.findall(text)
        unknown = [word for word in words if word.lower() not in self._rank]
        if len(unknown) < max(MIN_RESTORED, MIN_SHUFFLED_SHARE * len(words)):
            return text
        found = sum(_ends(word.lower()) in self._by_ends for word in unknown)
        if found < MIN_RESTORED or found * 2 < len(unknown):
            return text
        return _LONG_WORD.sub(lambda word: self._read_shuffled(word[0]), text)

    def _read_shuffled(self, word: str) -> str:
        lower = word.lower()
        known = None if lower in self._rank else self._by_ends.get(_ends(lower))
        if known is None:
            return word
        return known.capitalize() if word[0].isupper() else known


def _is_mixed(word: str) -> bool:
    return len(word) > 1 and not word.isalpha() and any(sign.isalpha() or sign == "|" for sign in word)


def _ends(word: str) -> tuple[str, str, str]:
    return word[0], word[-1], "".join(sorted(word[1:-1]))
