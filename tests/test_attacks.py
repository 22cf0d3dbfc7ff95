"""All obfuscations behind their registry: names, seeds, inverses, and what is refused."""

from __future__ import annotations

import random
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinyguardrail.attacks.family import NothingToChange
from tinyguardrail.attacks.registry import FAMILIES
from tinyguardrail.attacks.sampling import RATES as DRAWN_RATES
from tinyguardrail.attacks.sampling import rewrite

SENTENCE = "Please explain how the new garden rules work this year."
LONG = (SENTENCE + " ") * 20_000
TRANSFORMS = [(family, transform) for family in FAMILIES for transform in FAMILIES[family].transforms]
TEXTS = st.text(max_size=60)
ENGLISH = st.text(alphabet="abcdeimnortABCT 'é漢.,-\n3", max_size=60)
SEEDS = st.integers(0, 2**32)
RATES = st.floats(0.01, 1)
NO_INVERSE = {"typoglycemia", "character_injection_digits"}
NO_CHOICE = {"character_injection_upside_down"}  # one result, whatever the seed
IN_THE_CLEAR = {"codechameleon_none"}  # a template around the text as it is


def without(characters: object) -> st.SearchStrategy[str]:
    """Text of every script, with none of these characters, mixed with plain English letters."""
    return st.text(st.characters(codec="utf-8", exclude_characters="".join(characters))) | ENGLISH


def expected_inverse(text: str, transform: str) -> str | None:
    if transform in NO_INVERSE:
        return None
    return text.lower() if transform == "encoding_morse" else text


def test_families_and_transforms_have_the_names_that_results_are_filed_under():
    assert list(FAMILIES) == [
        "flipattack",
        "codechameleon",
        "homoglyph",
        "encoding",
        "character_injection",
        "typoglycemia",
        "composition",
    ]
    assert [family.code for family in FAMILIES.values()] == list(range(1, 8))  # as logged responses have them
    transforms = [transform for _, transform in TRANSFORMS]
    assert len(set(transforms)) == len(transforms)
    assert all(transform == name or transform.startswith(f"{name}_") for name, transform in TRANSFORMS)
    assert {"flipattack_fwo", "encoding_base64", "homoglyph", "typoglycemia"} <= set(transforms)


@pytest.mark.parametrize(("family", "transform"), TRANSFORMS)
def test_apply_changes_a_sentence_and_the_seed_decides_how(family, transform):
    state = random.getstate()
    for seed in range(20):
        attacked = FAMILIES[family].apply(SENTENCE, transform, Random(seed))
        assert attacked.text != SENTENCE
        assert (SENTENCE in attacked.text) == (transform in IN_THE_CLEAR)
        assert attacked.bare in attacked.text
        assert attacked.variant
        assert attacked == FAMILIES[family].apply(SENTENCE, transform, Random(seed))
    drawn = {FAMILIES[family].apply(SENTENCE, transform, Random(seed)) for seed in range(20)}
    assert (len(drawn) > 1) == (transform not in NO_CHOICE)
    assert random.getstate() == state


@pytest.mark.parametrize(("family", "transform"), TRANSFORMS)
def test_invert_gives_the_sentence_back_where_an_inverse_exists(family, transform):
    for seed in range(5):
        attacked = FAMILIES[family].apply(SENTENCE, transform, Random(seed))
        assert FAMILIES[family].invert(attacked.bare, transform) == expected_inverse(SENTENCE, transform)


@pytest.mark.parametrize(("family", "transform"), TRANSFORMS)
@given(text=TEXTS, seed=SEEDS)
def test_any_text_is_changed_or_refused_as_unchanged(family, transform, text, seed):
    if not text.strip():
        return
    try:
        attacked = FAMILIES[family].apply(text, transform, Random(seed))
    except NothingToChange:
        return
    assert attacked.text != text
    attacked.text.encode()


@pytest.mark.parametrize(("family", "transform"), TRANSFORMS)
@given(text=TEXTS)
def test_inverting_any_text_gives_text_or_a_value_error(family, transform, text):
    try:
        inverted = FAMILIES[family].invert(text, transform)
    except ValueError:
        return
    assert inverted is None or inverted.encode().decode() == inverted


@pytest.mark.parametrize(("family", "transform"), TRANSFORMS)
def test_a_million_characters_go_through_and_come_back(family, transform):
    assert len(LONG) > 1_000_000
    attacked = FAMILIES[family].apply(LONG, transform, Random(2))
    assert len(attacked.text) > 1_000_000
    inverted = FAMILIES[family].invert(attacked.bare, transform)
    expected = expected_inverse(LONG, transform)
    # Compared outside of assert: a failed comparison of such texts would take minutes to display.
    same = inverted is expected is None or inverted.split() == expected.split()
    assert same


@pytest.mark.parametrize(("family", "transform"), TRANSFORMS)
@pytest.mark.parametrize("blank", ["", " \t\n", "\u00a0"])
def test_a_blank_text_is_refused(family, transform, blank):
    with pytest.raises(ValueError, match="drop the row"):
        FAMILIES[family].apply(blank, transform, Random(0))


@pytest.mark.parametrize(("family", "transform"), TRANSFORMS)
def test_a_lone_surrogate_is_refused_and_named_with_its_place(family, transform):
    with pytest.raises(ValueError, match=r"character 2 of the text is the lone surrogate U\+D83D") as caught:
        FAMILIES[family].apply("hi\ud83d there, my friend", transform, Random(0))
    assert not isinstance(caught.value, UnicodeError)


@pytest.mark.parametrize(
    ("family", "transform", "text"),
    [
        ("flipattack", "flipattack_fwo", " alone "),
        ("flipattack", "flipattack_fcs", "level"),
        ("codechameleon", "codechameleon_reverse", "alone"),
        ("codechameleon", "codechameleon_odd_even", "two words"),
        ("homoglyph", "homoglyph", "你好"),
        ("encoding", "encoding_url", "word"),
        ("encoding", "encoding_rot13", "你好 123"),
        ("encoding", "encoding_leet", "knynck"),
        ("encoding", "encoding_braille", "你好"),
        ("character_injection", "character_injection_zero_width", "1 + 1 = a"),
        ("character_injection", "character_injection_bidi", "שלום"),
        ("character_injection", "character_injection_diacritics", "你好"),
        ("character_injection", "character_injection_digits", "funny"),
        ("character_injection", "character_injection_spacing", "1 + 1 = a"),
        ("character_injection", "character_injection_unicode_tags", "你好"),
        ("character_injection", "character_injection_upside_down", "xox"),
        ("typoglycemia", "typoglycemia", "a bad cat"),
    ],
)
def test_a_text_that_would_stay_as_it_is_is_refused(family, transform, text):
    for seed in range(5):
        with pytest.raises(NothingToChange, match="skip the text"):
            FAMILIES[family].apply(text, transform, Random(seed))


@pytest.mark.parametrize("family", FAMILIES)
def test_a_transform_of_another_family_is_refused(family):
    for call in (
        lambda: FAMILIES[family].apply("a text", "rot13", Random(0)),
        lambda: FAMILIES[family].invert("a text", "rot13"),
    ):
        with pytest.raises(ValueError, match=f"{family} has no transform 'rot13'; use one of"):
            call()


@pytest.mark.parametrize("rate", [0, -0.5, 1.01, float("nan")])
def test_a_rate_that_is_no_share_is_refused(rate):
    with pytest.raises(ValueError, match="out of range"):
        rewrite("abc", [1, 2], rate, Random(0), str.upper)


@pytest.mark.parametrize("rate", DRAWN_RATES)
def test_a_share_of_positions_is_exact_and_one_at_least(rate):
    assert rewrite("x" * 200, range(200), rate, Random(0), str.upper).count("X") == rate * 200
    assert rewrite("abc", [1], rate, Random(0), str.upper) == "aBc"
    assert rewrite("abc", [], rate, Random(0), str.upper) == "abc"
