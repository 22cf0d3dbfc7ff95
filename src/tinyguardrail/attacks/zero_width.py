"""Zero-width characters between letters: the text looks the same and tokenises differently.

Source: Hackett et al., arXiv 2504.11168 (character injection, zero width).
"""

from __future__ import annotations

from itertools import pairwise
from random import Random

from tinyguardrail.attacks.sampling import sample_positions

ZERO_WIDTH: dict[str, str] = {
    "\u200b": "zero width space",
    "\u200c": "zero width non-joiner",
    "\u200d": "zero width joiner",
    "\u2060": "word joiner",
    "\ufeff": "byte order mark",
}
_STRIPPING_TABLE = dict.fromkeys(map(ord, ZERO_WIDTH))


def insert_zero_width(text: str, rate: float, rng: Random) -> str:
    """Insert one character of `ZERO_WIDTH` into a share `rate`, in (0, 1], of the gaps between two letters.

    At least one gap is filled if there is any. Letters are those of every script.
    """
    gaps = [
        gap for gap, (left, right) in enumerate(pairwise(text), start=1) if left.isalpha() and right.isalpha()
    ]
    parts: list[str] = []
    start = 0
    for gap in sorted(sample_positions(gaps, rate, rng)):
        parts += [text[start:gap], rng.choice(tuple(ZERO_WIDTH))]
        start = gap
    return "".join([*parts, text[start:]])


def strip_zero_width(text: str) -> str:
    """Remove every character of `ZERO_WIDTH`: the exact inverse on text that held none before.

    Joined emoji, and the joiners that Persian and the scripts of India use, are lost as well.
    """
    return text.translate(_STRIPPING_TABLE)
