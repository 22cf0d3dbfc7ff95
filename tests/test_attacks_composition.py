"""Compositions: both steps happen, in their order, and are undone in the other."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given, reject
from hypothesis import strategies as st

from test_attacks import SEEDS, SENTENCE, TEXTS, without
from tinyguardrail.attacks.character_injection import ZERO_WIDTH, strip_zero_width
from tinyguardrail.attacks.composition import CARRIERS, COMPOSITIONS, compose, decompose
from tinyguardrail.attacks.family import NothingToChange
from tinyguardrail.attacks.homoglyph import FOLDING, fold_homoglyphs
from tinyguardrail.attacks.registry import FAMILIES


@pytest.mark.parametrize(
    ("composition", "composed"),
    [
        ("flip_base64", "d29OIG9H"),  # woN oG
        ("rot13_base64", "VGIgQWJq"),  # Tb Abj
        ("reverse_words_leet", "N0w 60"),  # Now Go
    ],
)
def test_compose_by_hand(composition, composed):
    assert compose("Go Now", composition, Random(0)).bare == composed


def composed_of(text: str, composition: str, seed: int) -> str:
    """Without what no step would change."""
    try:
        return compose(text, composition, Random(seed)).bare
    except NothingToChange:
        return reject()


@pytest.mark.parametrize("composition", ["flip_base64", "rot13_base64"])
@given(text=TEXTS, seed=SEEDS)
def test_decomposing_gives_the_text_back(composition, text, seed):
    assert decompose(composed_of(text, composition, seed), composition) == text


@given(
    words=st.lists(st.text(alphabet="abcdefgtz.,!漢", min_size=1)),
    space=st.sampled_from([" ", "\n", " \n "]),
    seed=SEEDS,
)
def test_decomposing_reversed_leet_gives_the_words_back(words, space, seed):
    words = [
        "a",
        *words,
        "z",
    ]  # two that differ, one of them with a leetspeak letter: each step has something to change
    composed = compose(space.join(words), "reverse_words_leet", Random(seed)).bare
    assert decompose(composed, "reverse_words_leet") == " ".join(words)


@given(text=without([*FOLDING, *ZERO_WIDTH]), seed=SEEDS)
def test_decomposing_invisible_steps_gives_the_text_back(text, seed):
    composed = composed_of(text, "homoglyph_zero_width", seed)
    assert decompose(composed, "homoglyph_zero_width") == text


def test_either_invisible_step_leaves_its_traces():
    composed = compose(SENTENCE, "homoglyph_zero_width", Random(0)).bare
    halfway = strip_zero_width(composed)
    assert fold_homoglyphs(halfway) == SENTENCE
    assert len({SENTENCE, halfway, composed}) == 3


@pytest.mark.parametrize(
    ("composition", "steps"),
    [
        ("flip_base64", ("decode the Base64", "read the line backwards")),
        ("rot13_base64", ("decode the Base64", "apply ROT13")),
        (
            "reverse_words_leet",
            ("read the leetspeak as letters", "put the words back in order, last word first"),
        ),
    ],
)
def test_the_carrier_names_both_steps_the_last_one_first(composition, steps):
    drawn = [compose(SENTENCE, composition, Random(seed)) for seed in range(60)]
    assert {composed.variant for composed in drawn} == set(CARRIERS)
    for composed in drawn:
        assert composed.bare in composed.text
        assert -1 < composed.text.index(steps[0]) < composed.text.index(steps[1])


@pytest.mark.parametrize(
    ("composition", "text"),
    [
        ("flip_base64", "level"),
        ("rot13_base64", "你好 123"),
        ("reverse_words_leet", "alone"),
        ("reverse_words_leet", "why my"),
        ("homoglyph_zero_width", "a 1 b"),
        ("homoglyph_zero_width", "你好"),
    ],
)
def test_a_text_that_one_of_the_steps_leaves_as_it_is_is_refused(composition, text):
    with pytest.raises(NothingToChange, match="skip the text"):
        FAMILIES["composition"].apply(text, f"composition_{composition}", Random(0))


def test_what_is_not_composed_is_refused():
    with pytest.raises(ValueError, match="not Base64"):
        decompose("plain text", "flip_base64")
    for call in (lambda: compose("a", "x", Random(0)), lambda: decompose("a", "x")):
        with pytest.raises(ValueError, match="unknown composition 'x'; known: " + next(iter(COMPOSITIONS))):
            call()
