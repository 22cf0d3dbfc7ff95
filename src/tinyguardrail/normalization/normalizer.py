"""Text with what it hides put in the clear, so that an obfuscated text can be judged by what it hides.

A view (decoded, folded, turned round) replaces a part only where it is clearly more plausible text. Views
are tried again on what a view brings to light, so that one obfuscation over another opens up too.
"""

import re
from collections.abc import Callable
from typing import NamedTuple

from tinyguardrail.attacks.registry import FAMILIES
from tinyguardrail.normalization import confusables, reordering
from tinyguardrail.normalization.decoding import decode_stretches
from tinyguardrail.normalization.language_model import CharacterLanguageModel
from tinyguardrail.normalization.word_restoring import WordList

MAX_ROUNDS = 3
MAX_SEARCHED = 20_000  # characters; what follows keeps its obfuscation, but for invisible characters

_FAMILY_OF = {step: family for family in FAMILIES.values() for step in (*family.steps, *family.stretches)}
_CHARACTER_VIEWS: tuple[tuple[str, Callable[[str, CharacterLanguageModel], str]], ...] = (
    ("backspaces", confusables.apply_backspaces),
    ("invisible", confusables.strip_invisible),
    ("tags", confusables.read_tags),
    ("bidi", confusables.undo_directions),
    ("full_width", confusables.fold_compatible),
    ("homoglyphs", confusables.fold_homoglyphs),
    ("marks", confusables.strip_marks),
)
_ORDERS = frozenset({"flip_word_order", "odd_even", "length", "binary_tree"})  # one of them at most
_PLAIN = re.compile(r"[\t\n\r -~]*")
_CODE = re.compile(r"^\s*(?:def|class|function)\s|```", re.MULTILINE)


class Normalized(NamedTuple):
    """A text and what it hides."""

    text: str  # the whole text, the hidden part in the clear
    payload: str  # the hidden part alone, in the clear; the whole text where nothing was hidden
    family: str  # of the attacks' registry, "composition" for several, "none"
    steps: tuple[str, ...]  # what was undone, outermost first


class _State(NamedTuple):
    before: str
    payload: str
    after: str
    steps: tuple[str, ...]


class Normalizer:
    """Normalizes texts with one model and the word list made from it."""

    def __init__(self, model: CharacterLanguageModel):
        self._model = model
        self._words = WordList(model)

    def __call__(self, text: str) -> Normalized:
        """Search the first `MAX_SEARCHED` characters; time is linear in them."""
        state = _State("", text[:MAX_SEARCHED], "", ())
        for _ in range(MAX_ROUNDS):
            if not (following := self._round(state)):
                break
            state = following
        if not state.steps:
            return Normalized(text, text, "none", ())
        rest = confusables.strip_invisible(text[MAX_SEARCHED:], self._model)
        whole = state.before + state.payload + state.after + rest
        return Normalized(whole, state.payload, _family(state.steps, text), state.steps)

    def _round(self, state: _State) -> _State | None:
        """One obfuscation less; None where none is found."""
        return self._characters(state) or self._encoded(state) or self._rearranged(state)

    def _characters(self, state: _State) -> _State | None:
        """Obfuscations character by character are undone in the whole of the payload, all of them at once."""
        text, steps = state.payload, list(state.steps)
        views = () if _PLAIN.fullmatch(text) else _CHARACTER_VIEWS
        for name, view in (*views, ("spacing", confusables.close_spacing)):
            shown = view(text, self._model)
            if shown != text:
                text = shown
                steps.append(name)
        return state._replace(payload=text, steps=tuple(steps)) if text != state.payload else None

    def _encoded(self, state: _State) -> _State | None:
        text = state.payload
        found = decode_stretches(text, self._model)
        if not found:
            return None
        longest = max(found, key=lambda one: len(one.plain))
        before, after, last = "", "", 0
        for one in found:
            if one.end <= longest.start:
                before += text[last : one.start] + one.plain
            elif one is longest:
                before += text[last : one.start]
            else:
                after += text[last : one.start] + one.plain
            last = one.end
        after += text[last:]
        return _State(state.before + before, longest.plain, after + state.after, (*state.steps, longest.step))

    def _rearranged(self, state: _State) -> _State | None:
        text = state.payload
        part = reordering.undo_characters(text, self._model) or self._words.restore(text)
        if part is None and not _ORDERS.intersection(state.steps):
            part = reordering.undo_word_order(text, self._model)
        if part is None:
            return None
        return _State(
            state.before + text[: part.start],
            part.plain,
            text[part.end :] + state.after,
            (*state.steps, part.step),
        )


def _family(steps: tuple[str, ...], text: str) -> str:
    families = {_FAMILY_OF[step].name: _FAMILY_OF[step] for step in steps}
    [*others, (name, family)] = families.items()
    if others or (len(steps) > 1 and family.one_step):
        return "composition"
    if steps == ("flip_word_order",) and _CODE.search(text):
        return "codechameleon"  # the same rearrangement, with the program that undoes it
    return name
