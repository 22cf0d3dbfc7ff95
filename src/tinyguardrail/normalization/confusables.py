"""Characters that hide text: invisible ones, marks, other widths, other scripts, other directions.

Each function takes a text and gives the text without that obfuscation, unchanged where it finds none.
"""

import re
import unicodedata
from functools import lru_cache

import numpy as np

from tinyguardrail.attacks.character_injection import apply_deletions, reveal_tags, undo_bidi
from tinyguardrail.attacks.homoglyph import FOLDING
from tinyguardrail.normalization.language_model import CharacterLanguageModel

# Fixed on validation rows, see benchmarks/normalize.py: the least values that leave benign text alone.
MIN_INVISIBLE_SHARE = 0.02  # of all characters; joiners of emoji, Persian and the scripts of India stay
MIN_MARK_SHARE = 0.06  # accented characters among the letters
MIN_MARKS_REMOVED = 0.6  # of all accents: a language that is written with accents keeps most
MIN_WIDE_SHARE = 0.1  # letters of other widths among the letters; Chinese text has some of its own
WORD_GAIN = 1.0  # nats that a word gains by folding
MARK_GAIN = 3.0  # nats that each accent must cost: those of a language cost less
SPACING_GAIN = 0.3  # nats per character
MARKS_MEAN_GAIN = 0.8  # nats per character
READABLE = -4.2  # nats per character once accents are gone: below, something else hides the text
TEXT_GAIN = 6.0  # nats that the text gains

_INVISIBLE = re.compile("[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b-\u200f\u2060-\u2064\ufeff]")
_FLAG = re.compile("\U0001f3f4[\U000e0020-\U000e007e]{1,8}\U000e007f")
_TAGS = re.compile("[\U000e0020-\U000e007e]+")
# A joiner is at home after letters of Arabic and the scripts of India, and in emoji.
_OUT_OF_PLACE = re.compile(
    "[\u00ad\u034f\u115f\u1160\u17b4\u17b5\u180e\u200b\u2060-\u2064\ufeff]"
    "|(?<![\u0600-\u0dff\u2190-\u2bff\ufe0f\U0001f000-\U0001faff])[\u200c\u200d]"
)
_OVERRIDE = re.compile("[\u202d\u202e]")
_BIDI = re.compile("[\u202a-\u202e\u2066-\u2069]")
_DELETION = re.compile("[\x08\x7f]")
_SINGLE = re.compile(r"(?<!\S)\S(?: \S){2,}(?!\S)")
_GAP = re.compile(" +")
_SPAN = re.compile(r"\S+")
_WIDE = re.compile("[\uff01-\uff5e\u3000]")
_CJK = re.compile("[\u2e80-\u303f\u3040-\u30ff\u3400-\u9fff]")


def apply_backspaces(text: str, model: CharacterLanguageModel) -> str:
    """Let backspace and delete take away the character before them, runs of them as many."""
    while _DELETION.search(text):
        shorter = apply_deletions(text)
        if shorter == text:  # nothing stands before those at the start
            return _DELETION.sub("", text)
        text = shorter
    return text


def strip_invisible(text: str, model: CharacterLanguageModel) -> str:
    found = _OUT_OF_PLACE.findall(text)
    if not found or len(found) < MIN_INVISIBLE_SHARE * len(text):
        return text
    stripped = _INVISIBLE.sub("", text)
    return text if model.score(stripped) < model.score(text) else stripped


def read_tags(text: str, model: CharacterLanguageModel) -> str:
    """Tag characters as the ASCII that they stand for; flags of regions keep theirs."""
    return reveal_tags(text) if _TAGS.search(_FLAG.sub("", text)) else text


def undo_directions(text: str, model: CharacterLanguageModel) -> str:
    return _BIDI.sub("", undo_bidi(text)) if _OVERRIDE.search(text) else text


def close_spacing(text: str, model: CharacterLanguageModel) -> str:
    """Take the spaces out from between single characters where words stand further apart."""
    if not _SINGLE.search(text):
        return text
    tokens = text.split(" ")
    alone = np.array([len(token) == 1 for token in tokens])
    gaps = _GAP.findall(text)
    singles = sum(len(gap) == 1 for gap in gaps)
    between = int((alone[:-1] & alone[1:]).sum())
    if len(gaps) == singles or between < 0.8 * singles:
        return text
    closed = _GAP.sub(lambda gap: " " if len(gap[0]) > 1 else "", text)
    return closed if model.score(closed) > model.score(text) + SPACING_GAIN else text


def strip_marks(text: str, model: CharacterLanguageModel) -> str:
    """Accents and lines under and over letters, where the text reads better without them."""
    composed = unicodedata.normalize("NFC", text)
    bare = "".join([character for character in composed if not _is_stray_mark(character)])
    plain = "".join(map(_base_letter, bare))
    letters = sum(character.isalpha() for character in plain)
    marks = len(composed) - len(bare) + sum(map(str.__ne__, bare, plain))
    if marks < max(1, MIN_MARK_SHARE * letters):
        return text
    folded = choose_words(bare, plain, model, MARK_GAIN)
    removed = len(composed) - len(bare) + sum(map(str.__ne__, bare, folded))
    if not removed or removed < MIN_MARKS_REMOVED * marks:
        return text
    scores = model.log_probabilities(folded)
    gain = float(scores.sum()) - _total(model, composed)
    if gain < max(TEXT_GAIN, MARKS_MEAN_GAIN * len(folded)):
        return text
    stray = 2 * (len(composed) - len(bare)) > marks  # these belong to no language, whatever it is
    return folded if stray or scores.mean() > READABLE else text


def _is_stray_mark(character: str) -> bool:
    return "\u0300" <= character <= "\u036f" or "\u20d0" <= character <= "\u20ff"


@lru_cache(4096)
def _base_letter(character: str) -> str:
    """Of an accented Latin letter."""
    if not "\u00c0" <= character <= "\u1eff":
        return character
    base = unicodedata.normalize("NFD", character)[0]
    return base if base.isascii() and base.isalpha() else character


@lru_cache(4096)
def _compatible_letter(character: str) -> str:
    """ASCII for a character in another width, frame or mathematical style."""
    if character < "\u2100":
        return character
    folded = unicodedata.normalize("NFKC", character)
    is_plain = len(folded) == 1 and folded.isascii() and (_WIDE.match(character) or folded.isalnum())
    return folded if is_plain else character


def fold_compatible(text: str, model: CharacterLanguageModel) -> str:
    """Full-width and styled letters; Chinese punctuation stays beside Chinese."""
    folded = "".join(map(_compatible_letter, text))
    wide = sum(a != b and b.isalpha() for a, b in zip(text, folded, strict=True))
    foreign = _CJK.search(text) is None and len(_WIDE.findall(text)) > 1  # where no wide form belongs
    if not foreign and wide < max(2, MIN_WIDE_SHARE * sum(map(str.isalpha, folded))):
        return text
    characters = list(folded)
    for wide in _WIDE.finditer(text):
        place = wide.start()
        if not characters[place].isalnum() and _CJK.search(
            text[max(0, place - 1) : place + 2].replace("\u3000", "")
        ):
            characters[place] = text[place]
    return "".join(characters)


def fold_homoglyphs(text: str, model: CharacterLanguageModel) -> str:
    """Letters of other scripts in words that read better in Latin ones."""
    folded = text.translate(_FOLD)
    if not any(map(_mixes_scripts, _SPAN.findall(text), _SPAN.findall(folded))):
        return text
    chosen = choose_words(text, folded, model)
    return chosen if _total(model, chosen) - _total(model, text) > TEXT_GAIN else text


_FOLD = str.maketrans(FOLDING)


def _mixes_scripts(word: str, folded: str) -> bool:
    return word != folded and len({_script(character) for character in word if character.isalpha()}) > 1


@lru_cache(4096)
def _script(character: str) -> str:
    return "LATIN" if character.isascii() else unicodedata.name(character, "UNKNOWN").split()[0]


def choose_words(text: str, view: str, model: CharacterLanguageModel, letter_gain: float = 0.0) -> str:
    """Each word from the text or from the view of the same length, whichever is clearly more plausible.

    A word has to gain `WORD_GAIN`, and `letter_gain` for every character that changes.
    """
    gain = np.concatenate(([0.0], np.cumsum(model.log_probabilities(view) - model.log_probabilities(text))))

    def choose(word: re.Match[str]) -> str:
        start, end = word.span()
        seen = view[start:end]
        if seen == word[0]:
            return seen
        needed = max(WORD_GAIN, letter_gain * sum(map(str.__ne__, seen, word[0])))
        return seen if gain[min(end + 1, len(text))] - gain[start] > needed else word[0]

    return _SPAN.sub(choose, text)


def _total(model: CharacterLanguageModel, text: str) -> float:
    return float(model.log_probabilities(text).sum())
