"""Encodings letter by letter: shifted and mirrored alphabets, leetspeak, Morse code, braille.

Sources: ITU-R M.1677-1 (international Morse code); International Council on English Braille, "The Rules of
Unified English Braille", 2013 (uncontracted, grade 1). What an alphabet has no sign for stays as it is.
"""

import re
from string import ascii_lowercase as LOWER
from string import ascii_uppercase as UPPER

CAESAR_SHIFT = 3  # Caesar's own; fixed, so that the encoded text alone is enough to decode it


def shift_table(shift: int) -> dict[int, int]:
    """For `str.translate`: every letter a-z and A-Z moved on by `shift` from 0 to 25."""
    return str.maketrans(LOWER + UPPER, LOWER[shift:] + LOWER[:shift] + UPPER[shift:] + UPPER[:shift])


_CAESAR = shift_table(CAESAR_SHIFT)
_UNDO_CAESAR = {encoded: plain for plain, encoded in _CAESAR.items()}
_ATBASH = str.maketrans(LOWER + UPPER, LOWER[::-1] + UPPER[::-1])

LEET = dict(zip("abegilostz", "48361|0572", strict=True))
_LEET = str.maketrans(LEET | {letter.upper(): sign for letter, sign in LEET.items()})
_UNDO_LEET = str.maketrans({sign: letter for letter, sign in LEET.items()})

_MORSE_CHARACTERS = "abcdefghijklmnopqrstuvwxyz0123456789.,:?'-/()\"=+@ "
_MORSE_CODES = """
.- -... -.-. -.. . ..-. --. .... .. .--- -.- .-.. -- -. --- .--. --.- .-. ... - ..- ...- .-- -..- -.-- --..
----- .---- ..--- ...-- ....- ..... -.... --... ---.. ----.
.-.-.- --..-- ---... ..--.. .----. -....- -..-. -.--. -.--.- .-..-. -...- .-.-. .--.-. /
"""
MORSE: dict[str, str] = dict(zip(_MORSE_CHARACTERS, _MORSE_CODES.split(), strict=True))
_UNDO_MORSE = {code: character for character, code in MORSE.items()}

CAPITAL, NUMBER, LETTER = "⠠", "⠼", "⠰"  # the signs that say what the next cell is
_LETTER_CELLS = dict(zip(LOWER, "⠁⠃⠉⠙⠑⠋⠛⠓⠊⠚⠅⠇⠍⠝⠕⠏⠟⠗⠎⠞⠥⠧⠺⠭⠽⠵", strict=True))
_DIGIT_CELLS = dict(zip("1234567890", "⠁⠃⠉⠙⠑⠋⠛⠓⠊⠚", strict=True))
_POINT_CELLS = dict(zip(",.", "⠂⠲", strict=True))  # do not end a number
_OTHER_CELLS = dict(zip(";:!?'-", "⠆⠒⠖⠦⠄⠤", strict=True))
_OTHER_CELLS |= {'"': "⠠⠶", "(": "⠐⠣", ")": "⠐⠜", "/": "⠸⠌"}
BRAILLE: dict[str, str] = (
    _LETTER_CELLS
    | {letter.upper(): CAPITAL + cell for letter, cell in _LETTER_CELLS.items()}
    | _POINT_CELLS
    | _OTHER_CELLS
)
_TO_BRAILLE = str.maketrans(BRAILLE | _DIGIT_CELLS)
_UNDO_BRAILLE = {cells: character for character, cells in BRAILLE.items()}
_UNDO_NUMBER = str.maketrans({cell: sign for sign, cell in (_DIGIT_CELLS | _POINT_CELLS).items()})
# A number runs on through commas and points; a letter right after it that is also a digit's cell is marked.
_PLAIN_NUMBER = re.compile(r"([0-9][0-9.,]*)([a-j]?)")
_BRAILLE_SIGN = re.compile("⠼([⠁⠃⠉⠙⠑⠋⠛⠓⠊⠚⠂⠲]+)⠰?|[⠠⠐⠸]?[\u2800-\u28ff]")


def caesar(text: str) -> str:
    """Every letter a-z and A-Z moved on by `CAESAR_SHIFT`."""
    return text.translate(_CAESAR)


def undo_caesar(encoded: str) -> str:
    """The exact inverse of `caesar`."""
    return encoded.translate(_UNDO_CAESAR)


def atbash(text: str) -> str:
    """A for Z, B for Y and so on; its own inverse."""
    return text.translate(_ATBASH)


def leet(text: str) -> str:
    """The letters of `LEET`, small and capital, as digits and a bar."""
    return text.translate(_LEET)


def undo_leet(encoded: str) -> str:
    """Signs back to small letters: exact on text without these signs and without such capitals."""
    return encoded.translate(_UNDO_LEET)


def morse(text: str) -> str:
    """Codes joined by spaces, "/" for a space; case is lost, a character without a code stands for itself."""
    return " ".join([MORSE.get(character, character) for character in text.lower()])


def undo_morse(encoded: str) -> str:
    """The text that was encoded, in lower case."""
    return "".join([_UNDO_MORSE.get(code, code) for code in encoded.split(" ")])


def braille(text: str) -> str:
    """Grade 1 braille with a sign before every capital and every number; spaces stay spaces."""
    marked = _PLAIN_NUMBER.sub(
        lambda found: NUMBER + found[1] + (LETTER + found[2] if found[2] else ""), text
    )
    return marked.translate(_TO_BRAILLE)


def undo_braille(encoded: str) -> str:
    """The exact inverse of `braille` on text that held no braille cells (U+2800 to U+28FF)."""
    return _BRAILLE_SIGN.sub(_read_braille, encoded)


def _read_braille(found: re.Match[str]) -> str:
    if found[1]:
        return found[1].translate(_UNDO_NUMBER)
    return _UNDO_BRAILLE.get(found[0], found[0])
