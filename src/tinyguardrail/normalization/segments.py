"""Parts of a text that may hide something: quoted spans, lines, what follows a colon."""

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import TypeVar

MIN_LENGTH = 6  # characters; shorter parts hold too little to tell an obfuscation from chance
EACH_END = 6  # of many lines or colons, those at both ends of the text are looked at

_COLON = re.compile(r"[:：]\s+")
_OPENING = re.compile(r"(?<![\w])[\"'`“‘«「](?=\S)")
_CLOSING = re.compile(r"(?<=\S)[\"'`”’»」](?!\w)")
_PARTNER = dict(zip("\"'`“‘«「", "\"'`”’»」", strict=True))

Item = TypeVar("Item")


def segments(text: str) -> list[tuple[int, int]]:
    """Starts and ends of the whole text and its parts, trimmed of white space; linear in the text."""
    found = dict.fromkeys(_trim(text, start, end) for start, end in _spans(text))
    return [(start, end) for start, end in found if end - start >= MIN_LENGTH]


def _spans(text: str) -> Iterator[tuple[int, int]]:
    length = len(text)
    yield 0, length
    breaks = [match.start() for match in re.finditer("\n", text)]
    for place in both_ends(breaks):
        yield 0, place
        yield place + 1, length
    for before, after in pairwise(both_ends([-1, *breaks, length])):
        yield before + 1, after
    for colon in both_ends([match.end() for match in _COLON.finditer(text)]):
        yield colon, length
        end_of_line = text.find("\n", colon)
        if end_of_line > 0:
            yield colon, end_of_line
    yield from _quoted(text)


def both_ends(items: Sequence[Item]) -> Sequence[Item]:
    """The first and the last `EACH_END` of a sequence."""
    return items if len(items) <= 2 * EACH_END else [*items[:EACH_END], *items[-EACH_END:]]


def _quoted(text: str) -> Iterator[tuple[int, int]]:
    """From each opening quote to the next that closes it, and to the last: what is quoted may hold quotes."""
    openings = both_ends(list(_OPENING.finditer(text)))
    closings = [(match[0], match.start()) for match in _CLOSING.finditer(text)] if openings else []
    for opening in openings:
        start, partner = opening.end(), _PARTNER[opening[0]]
        ends = [end for mark, end in closings if mark == partner and end > start]
        yield from ((start, end) for end in dict.fromkeys([*ends[:1], *ends[-1:]]))


def _trim(text: str, start: int, end: int) -> tuple[int, int]:
    while start < end and text[start].isspace():
        start += 1
    while end > start and text[end - 1].isspace():
        end -= 1
    return start, end
