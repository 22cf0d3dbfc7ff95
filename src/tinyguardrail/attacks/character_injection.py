"""Character injection: invisible, combining and look-alike characters that a person or a model reads through.

Sources: Hackett et al., "Bypassing Prompt Injection and Jailbreak Detection in LLM Guardrails", arXiv
2504.11168, eleven of its twelve techniques (the twelfth, homoglyphs, is a family of its own); Boucher et al.,
"Bad Characters", arXiv 2106.09898 (bidirectional overrides, deletions). Code points after the Unicode
Standard, bidirectional display after its Annex 9.
"""

import re
import unicodedata
from collections.abc import Callable
from itertools import pairwise
from random import Random
from string import ascii_letters, ascii_lowercase
from typing import NamedTuple

from tinyguardrail.attacks.family import Attacked, Family, Proof, Stretch, utf8
from tinyguardrail.attacks.sampling import RATES, rewrite

ZERO_WIDTH: dict[str, str] = {
    "\u200b": "zero width space",
    "\u200c": "zero width non-joiner",
    "\u200d": "zero width joiner",
    "\u2060": "word joiner",
    "\ufeff": "byte order mark",
}
_STRIP_ZERO_WIDTH = dict.fromkeys(map(ord, ZERO_WIDTH))

RLO, PDF = "\u202e", "\u202c"  # right-to-left override, pop directional formatting
LRI, PDI = "\u2066", "\u2069"  # left-to-right isolate, pop directional isolate
BIDI_CONTROLS = RLO + PDF + LRI + PDI
_STRIP_BIDI = dict.fromkeys(map(ord, BIDI_CONTROLS))
_OVERRIDES = ((RLO, PDF), (LRI + RLO, PDF + PDI))
_OVERRIDDEN = re.compile(f"({RLO})([^{RLO}{PDF}]*)({PDF})")
_MIRROR = str.maketrans("()[]{}<>«»‹›≤≥", ")(][}{><»«›‹≥≤")  # an override also mirrors their glyphs
_REVERSIBLE_CLASSES = {"L", "EN", "ES", "ET", "CS", "ON"}  # neither right to left nor marks nor controls

DELETIONS = "\x08\x7f"  # backspace, delete
_DELETED = re.compile(f"[^{DELETIONS}][{DELETIONS}]")

# grave, acute, circumflex, tilde, macron, dot above, diaeresis, ring, caron, cedilla, ogonek
_MARKS = "\u0300\u0301\u0302\u0303\u0304\u0307\u0308\u030a\u030c\u0327\u0328"
DIACRITICS: dict[str, tuple[str, ...]] = {
    letter: tuple(unicodedata.normalize("NFC", letter + mark) for mark in _MARKS) for letter in ascii_letters
}
ACCENTED = {mark: "" for mark in _MARKS} | {
    accented: letter for letter, looks in DIACRITICS.items() for accented in looks if len(accented) == 1
}
_UNACCENT = str.maketrans(ACCENTED)

EMOJI = ("\U0001f600", "\U0001f642", "\U0001f60e", "\U0001f680", "\U0001f31f", "\U0001f389", "\U0001f431")
# One variation selector for every byte: VS1 to VS16, then VS17 to VS256.
SELECTORS = [chr(0xFE00 + byte) for byte in range(16)] + [chr(0xE0100 + byte) for byte in range(240)]
_SELECTOR = f"[{SELECTORS[0]}-{SELECTORS[15]}{SELECTORS[16]}-{SELECTORS[255]}]"
_SELECTOR_BYTES = {selector: byte for byte, selector in enumerate(SELECTORS)}

FULL_WIDTH = {chr(code): chr(code + 0xFEE0) for code in range(0x21, 0x7F)} | {" ": "\u3000"}
_HALVE = str.maketrans({wide: narrow for narrow, wide in FULL_WIDTH.items()})

DIGITS = dict(zip("oizeasgtbOIZEASGTB", "012345678" * 2, strict=True)) | {"l": "1", "L": "1"}

# low line, double low line, macron, minus and equals sign below
UNDERLINES = "\u0332\u0333\u0331\u0320\u0347"
_STRIP_UNDERLINES = dict.fromkeys(map(ord, UNDERLINES))

TAGS = {chr(code): chr(0xE0000 + code) for code in range(0x20, 0x7F)}
_TO_TAGS = str.maketrans(TAGS)
_UNTAG = str.maketrans({tag: character for character, tag in TAGS.items()})
_TAGGED_SPACES = re.compile("(?<=[\U000e0021-\U000e007e]) +(?=[\U000e0021-\U000e007e])")
_VISIBLE_ASCII = re.compile("[!-~]")

TURNED = (
    "aɐ bq cɔ dp eǝ fɟ gƃ hɥ iᴉ jɾ kʞ lꞁ mɯ nu rɹ tʇ vʌ wʍ yʎ "
    "A∀ Bꓭ CƆ Dꓷ EƎ FℲ G⅁ Jſ K⋊ L˥ MW PԀ QΌ Rᴚ T⊥ U∩ VΛ Y⅄ "
    "1Ɩ 2ᄅ 3Ɛ 4ㄣ 5ϛ 69 7ㄥ .˙ ,' ?¿ !¡ \"„ &⅋ _‾ ;⸵ () [] {} <>"
).replace(" ", "")
_TURN = str.maketrans(TURNED[::2] + TURNED[1::2], TURNED[1::2] + TURNED[::2])

_WORD = re.compile(r"(\S+)")  # splits into gaps at even positions, words at odd ones


def insert_zero_width(text: str, rate: float, rng: Random) -> str:
    """Insert one character of `ZERO_WIDTH` into a share `rate`, in (0, 1], of the gaps between two letters.

    At least one gap is filled if there is any. Letters are those of every script.
    """
    kinds = tuple(ZERO_WIDTH)
    return rewrite(text, _letter_gaps(text), rate, rng, lambda letter: rng.choice(kinds) + letter)


def strip_zero_width(text: str) -> str:
    """Remove every character of `ZERO_WIDTH`: the exact inverse on text that held none before.

    Joined emoji, and the joiners that Persian and the scripts of India use, are lost as well.
    """
    return text.translate(_STRIP_ZERO_WIDTH)


def reverse_bidi(text: str, rate: float, rng: Random) -> str:
    """Reverse a share `rate` of the words under a right-to-left override, which displays them as they were.

    Neighbors share one override; half of the texts isolate it as well. Words with right-to-left letters,
    combining marks or emoji are left alone: reversed, they would not display the same.
    """
    opening, closing = rng.choice(_OVERRIDES)
    pieces = _WORD.split(text)
    words = [position for position in range(1, len(pieces), 2) if _is_reversible(pieces[position])]
    wrapped = rewrite(pieces, words, rate, rng, lambda word: opening + word + closing)
    return _reverse_overridden(re.sub(f"{closing}( +){opening}", r"\1", wrapped))


def undo_bidi(text: str) -> str:
    """Reverse what stands under an override, drop `BIDI_CONTROLS`: exact on text that held none of them."""
    return _reverse_overridden(text).translate(_STRIP_BIDI)


def insert_deleted(text: str, rate: float, rng: Random) -> str:
    """Insert a letter and the control that deletes it into a share `rate` of the gaps between two letters."""
    return rewrite(
        text,
        _letter_gaps(text),
        rate,
        rng,
        lambda letter: rng.choice(ascii_lowercase) + rng.choice(DELETIONS) + letter,
    )


def apply_deletions(text: str) -> str:
    """Let every control delete the character before it: exact on text that held none of `DELETIONS`."""
    return _DELETED.sub("", text)


def add_diacritics(text: str, rate: float, rng: Random) -> str:
    """Put an accent on a share `rate` of the letters a-z and A-Z, as one character where Unicode has it."""
    letters = [position for position, character in enumerate(text) if character in DIACRITICS]
    return rewrite(text, letters, rate, rng, lambda letter: rng.choice(DIACRITICS[letter]))


def strip_diacritics(text: str) -> str:
    """Every letter of `ACCENTED` to its base: exact on text that held none; French loses its accents."""
    return text.translate(_UNACCENT)


def smuggle_in_emoji(text: str, rng: Random) -> str:
    """The whole text as variation selectors, one for every UTF-8 byte, after an emoji that alone shows."""
    return rng.choice(EMOJI) + "".join([SELECTORS[byte] for byte in utf8(text)])


def read_emoji(text: str) -> str:
    """The bytes behind the variation selectors: the exact inverse for every text.

    Raises:
        ValueError: the bytes are not UTF-8, as after an ordinary emoji with a selector of its own.
    """
    smuggled = bytes([_SELECTOR_BYTES[character] for character in text if character in _SELECTOR_BYTES])
    try:
        return smuggled.decode()
    except UnicodeDecodeError as error:
        raise ValueError(
            f"the variation selectors spell no UTF-8 text ({error}); pass smuggled text"
        ) from error


def widen(text: str, rate: float, rng: Random) -> str:
    """A share `rate` of the ASCII characters, space included, in their full-width form."""
    ascii_positions = [position for position, character in enumerate(text) if character in FULL_WIDTH]
    return rewrite(text, ascii_positions, rate, rng, FULL_WIDTH.__getitem__)


def halve(text: str) -> str:
    """Full-width forms back to ASCII: exact on text that held none, which Chinese punctuation often does."""
    return text.translate(_HALVE)


def digits_for_letters(text: str, rate: float, rng: Random) -> str:
    """A share `rate` of the letters of `DIGITS` as the digit that looks like them.

    There is no inverse: i and l share a digit, capitals are lost, and the text's own digits look the same.
    """
    letters = [position for position, character in enumerate(text) if character in DIGITS]
    return rewrite(text, letters, rate, rng, DIGITS.__getitem__)


def space_out(text: str, rate: float, rng: Random) -> str:
    """Put spaces between the characters of a share `rate` of the words, and three for one between words."""
    pieces = _WORD.split(text)
    pieces[::2] = [gap.replace(" ", "   ") for gap in pieces[::2]]
    words = [position for position in range(1, len(pieces), 2) if len(pieces[position]) > 1]
    return rewrite(pieces, words, rate, rng, " ".join)


def close_up(text: str) -> str:
    """The exact inverse of `space_out` for every text: single spaces go, threes become one."""
    return re.sub(" +", lambda spaces: " " * (len(spaces[0]) // 3), text)


def underline(text: str, rate: float, rng: Random) -> str:
    """Combine a share `rate` of the letters and digits with one mark of `UNDERLINES`, drawn for the text."""
    mark = rng.choice(UNDERLINES)
    letters = [position for position, character in enumerate(text) if character.isalnum()]
    return rewrite(text, letters, rate, rng, lambda letter: letter + mark)


def strip_underlines(text: str) -> str:
    """Remove every mark of `UNDERLINES`: exact on text that held none."""
    return text.translate(_STRIP_UNDERLINES)


def hide_in_tags(text: str, rate: float, rng: Random) -> str:
    """Write a share `rate` of the words in invisible tag characters, with the spaces between two of them.

    Tags exist for printable ASCII only: other characters stay visible where they are.
    """
    pieces = _WORD.split(text)
    words = [position for position in range(1, len(pieces), 2) if _VISIBLE_ASCII.search(pieces[position])]
    hidden = rewrite(pieces, words, rate, rng, lambda word: word.translate(_TO_TAGS))
    return _TAGGED_SPACES.sub(lambda spaces: spaces[0].translate(_TO_TAGS), hidden)


def reveal_tags(text: str) -> str:
    """Tag characters back to ASCII: exact on text that held none; flags of regions lose theirs."""
    return text.translate(_UNTAG)


def turn_upside_down(text: str) -> str:
    """Last character first, each as its partner in `TURNED`; its own inverse, exact on every text."""
    return text[::-1].translate(_TURN)


class Injection(NamedTuple):
    apply: Callable[[str, float, Random], str]  # text, rate, source of chance
    undo: Callable[[str], str] | None
    whole: bool = False  # the rate is ignored


INJECTIONS: dict[str, Injection] = {
    "zero_width": Injection(insert_zero_width, strip_zero_width),
    "bidi": Injection(reverse_bidi, undo_bidi),
    "deletion": Injection(insert_deleted, apply_deletions),
    "diacritics": Injection(add_diacritics, strip_diacritics),
    "emoji_smuggling": Injection(lambda text, rate, rng: smuggle_in_emoji(text, rng), read_emoji, whole=True),
    "full_width": Injection(widen, halve),
    "digits": Injection(digits_for_letters, None),
    "spacing": Injection(space_out, close_up),
    "underline": Injection(underline, strip_underlines),
    "unicode_tags": Injection(hide_in_tags, reveal_tags),
    "upside_down": Injection(lambda text, rate, rng: turn_upside_down(text), turn_upside_down, whole=True),
}


def _letter_gaps(text: str) -> list[int]:
    """Positions of the letters that follow a letter."""
    return [
        gap for gap, (left, right) in enumerate(pairwise(text), start=1) if left.isalpha() and right.isalpha()
    ]


def _is_reversible(word: str) -> bool:
    return (word.isascii() and word.isprintable()) or all(
        character < "\U00010000"
        and unicodedata.bidirectional(character) in _REVERSIBLE_CLASSES
        and not unicodedata.category(character).startswith("M")
        for character in word
    )


def _reverse_overridden(text: str) -> str:
    return _OVERRIDDEN.sub(lambda run: run[1] + run[2][::-1].translate(_MIRROR) + run[3], text)


def _attack(text: str, kind: str, rng: Random) -> Attacked:
    rate = rng.choice(RATES)
    attacked = INJECTIONS[kind].apply(text, rate, rng)
    return Attacked(attacked, "whole_text" if INJECTIONS[kind].whole else f"rate_{rate}", attacked)


def _invert(text: str, kind: str) -> str | None:
    undo = INJECTIONS[kind].undo
    return undo(text) if undo else None


FAMILY = Family(
    name="character_injection",
    title="character injection",
    code=5,
    attack=_attack,
    inverse=_invert,
    kinds=tuple(INJECTIONS),
    titles={"zero_width": "zero-width characters", "unicode_tags": "Unicode tags"},
    steps=("backspaces", "invisible", "tags", "bidi", "full_width", "marks", "upside_down"),
    stretches={
        "variation_selectors": Stretch(0, f"{_SELECTOR}{{3,}}", f"{_SELECTOR}{{3}}", read_emoji),
        "spacing": Stretch(  # all words may be spaced out, with no wider gaps left
            70,
            r"(?<!\S)\S(?: \S){5,}(?!\S)",
            r"(?<!\S)\S \S \S \S(?!\S)",
            lambda run: run.replace(" ", ""),
            Proof.PLAUSIBLE,
        ),
    },
)
