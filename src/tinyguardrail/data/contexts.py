"""Planting one text in another: how an indirect injection reaches a model (BIPIA, 2312.14197)."""

import re

POSITIONS = ("start", "middle", "end")
TRAINING_CHARACTERS = 450  # of a training context around what is put into it; test contexts stay whole
_SENTENCE_END = re.compile(r"(?:[.!?][\"')\]]*\s+|[。！？])")


def insert(context: str, payload: str, position: str) -> str:
    """`context` with `payload` planted at `start`, `middle` or `end`; taking it out gives `context` back.

    The middle is the line boundary nearest to it, or a sentence boundary where no line ends in the
    middle half: a table is never cut inside a row. A context of one sentence takes it at the end.

    Raises:
        ValueError: the position is none of the three.
    """
    if position not in POSITIONS:
        raise ValueError(f"position {position!r} must be one of {', '.join(POSITIONS)}")
    place = {"start": 0, "middle": _middle(context), "end": len(context)}[position]
    before, after = context[:place], context[place:]
    if not after:
        return before + ("" if before.endswith("\n") or not before else "\n") + payload
    separator = "\n" if not before or before.endswith("\n") else " "
    return before + payload + separator + after


def plant(context: str, payload: str, position: str, characters: int | None = None) -> str:
    """`payload` in the context, or in about so many `characters` of it around the position.

    Raises:
        ValueError: as in `insert`.
    """
    around = context if characters is None else excerpt(context, position, characters)
    return insert(around, payload, position)


def excerpt(context: str, position: str, characters: int) -> str:
    """The part of a context around a position, so that what is planted there lies in one training window.

    Args:
        context: any text.
        position: start, middle or end.
        characters: about how many to keep; cut where a line ends, or else a word.
    """
    if len(context) <= characters:
        return context
    place = {"start": 0, "middle": _middle(context), "end": len(context)}[position]
    low = min(max(0, place - characters // 2), len(context) - characters)
    kept = context[low : low + characters]
    if low:
        kept = _after_break(kept)
    if low + characters < len(context):
        kept = _after_break(kept[::-1])[::-1]
    return kept


def _after_break(text: str) -> str:
    """Without the broken line at the start or, in one long line, without the broken word."""
    for mark in ("\n", " "):
        place = text.find(mark)
        if 0 <= place < len(text) / 4:
            return text[place + 1 :]
    return text


def _middle(context: str) -> int:
    lines = [at + 1 for at, character in enumerate(context[:-1]) if character == "\n"]
    quarter = len(context) / 4
    for places in ([at for at in lines if quarter <= at <= 3 * quarter], _sentence_ends(context), lines):
        if places:
            return min(places, key=lambda at: abs(at - len(context) / 2))
    return len(context)


def _sentence_ends(context: str) -> list[int]:
    return [match.end() for match in _SENTENCE_END.finditer(context) if match.end() < len(context)]
