"""Encoded stretches of a text, found by the records of the families that make them, and put in the clear.

A stretch counts only if what it decodes to is readable text: nothing is guessed and nothing is run.
"""

import re
from collections.abc import Iterator

from tinyguardrail.attacks.family import Decoded, Proof, Stretch
from tinyguardrail.attacks.registry import FAMILIES
from tinyguardrail.normalization.language_model import CharacterLanguageModel

MIN_READABLE = 4  # characters of a decoded stretch
LONG_RUN = 16  # bytes that decode to readable text: not by chance
READABLE = -4.0  # nats per character of shorter ones
MIN_LETTER_SHARE = 0.5  # letters and spaces among its characters; ciphers and flips keep them

STRETCHES = sorted(
    (pair for family in FAMILIES.values() for pair in family.stretches.items()),
    key=lambda pair: pair[1].priority,
)


def decode_stretches(text: str, model: CharacterLanguageModel) -> list[Decoded]:
    """Encoded stretches from left to right, of the first kind that is found at all."""
    for step, stretch in STRETCHES:
        if re.search(stretch.gate, text, re.ASCII) and (found := list(_decode(text, step, stretch, model))):
            return found
    for family in FAMILIES.values():
        if family.find and (found := list(family.find(text))):
            return found
    return []


def _decode(text: str, step: str, stretch: Stretch, model: CharacterLanguageModel) -> Iterator[Decoded]:
    for match in re.finditer(stretch.pattern, text, re.ASCII):
        try:
            plain = stretch.decode(match[0])
        except ValueError:
            continue
        if _is_proven(stretch.proof, match[0], plain, model):
            yield Decoded(match.start(), match.end(), plain, step)


def _is_proven(proof: Proof, encoded: str, plain: str, model: CharacterLanguageModel) -> bool:
    if proof is Proof.NOTATION:
        return True
    if not is_readable(plain):
        return False
    if proof is Proof.READABLE or (proof is Proof.BY_CHANCE and len(plain.encode()) >= LONG_RUN):
        return True
    decoded = model.score(plain)
    return (decoded > READABLE or proof is Proof.PLAUSIBLE) and decoded > model.score(encoded)


def is_readable(plain: str) -> bool:
    """Printable, long enough, and mostly letters and spaces."""
    if len(plain) < MIN_READABLE:
        return False
    if not all(each.isprintable() or each in "\n\r\t\u200b\u200c\u200d\u00ad" for each in plain):
        return False
    letters = sum(character.isalpha() or character == " " for character in plain)
    return letters >= MIN_LETTER_SHARE * len(plain)
