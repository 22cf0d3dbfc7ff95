"""Obfuscations: what each one does to a text, and that the text comes back where an inverse exists."""

from __future__ import annotations

import random
import re
import unicodedata
from collections import Counter
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinyguardrail.attacks import FAMILIES, NothingToChange
from tinyguardrail.attacks.encoding import CARRIERS, ENCODINGS, decode, encode, encoding_prompt
from tinyguardrail.attacks.flip import MODES, VARIANTS, flip, flip_prompt, guidance, unflip
from tinyguardrail.attacks.homoglyph import CONFUSABLES, FOLDING, fold_homoglyphs, substitute_homoglyphs
from tinyguardrail.attacks.typoglycemia import shuffle_inner_letters
from tinyguardrail.attacks.zero_width import ZERO_WIDTH, insert_zero_width, strip_zero_width
from tinyguardrail.params import Attacks

SENTENCE = "Please explain how the new garden rules work this year."
TRANSFORMS = [(family, transform) for family in FAMILIES for transform in FAMILIES[family].transforms]
TEXTS = st.text(max_size=60)
ENGLISH = st.text(alphabet="abcdeimnortABCT 'é漢.,-\n3", max_size=60)
SEEDS = st.integers(0, 2**32)
RATES = st.floats(0.01, 1)


def without(characters: object) -> st.SearchStrategy[str]:
    """Text of every script, with none of these characters, mixed with plain English letters."""
    return st.text(st.characters(codec="utf-8", exclude_characters="".join(characters))) | ENGLISH


# FlipAttack


@pytest.mark.parametrize(
    ("mode", "flipped"),
    [
        ("fwo", "bus red big the Stop"),
        ("fcw", "potS eht gib der sub"),
        ("fcs", "sub der gib eht potS"),
        ("fmm", "sub der gib eht potS"),
    ],
)
def test_flip_by_hand(mode, flipped):
    assert flip("Stop the big red bus", mode) == flipped
    assert unflip(flipped, mode) == "Stop the big red bus"


@pytest.mark.parametrize(
    ("mode", "flipped"),
    [
        ("fwo", "way? this Go,"),
        ("fcw", ",oG siht ?yaw"),
        ("fcs", "?yaw\nsiht  ,oG"),
        ("fmm", "?yaw\nsiht  ,oG"),
    ],
)
def test_word_flips_leave_one_space_and_sentence_flips_keep_all(mode, flipped):
    assert flip("Go,  this\nway?", mode) == flipped


@pytest.mark.parametrize("mode", ["fcs", "fmm"])
@given(text=TEXTS)
def test_unflipping_a_sentence_flip_gives_the_text_back(mode, text):
    assert unflip(flip(text, mode), mode) == text


@pytest.mark.parametrize("mode", ["fwo", "fcw"])
@given(text=TEXTS)
def test_unflipping_a_word_flip_gives_the_words_back(mode, text):
    assert unflip(flip(text, mode), mode) == " ".join(text.split())


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("mode", MODES)
def test_flip_prompt_is_short_guidance_above_the_flipped_task(mode, variant):
    head, task = flip_prompt("Stop the big red bus", mode, variant).rsplit("\n", 1)
    assert task == f"TASK is '{flip('Stop the big red bus', mode)}'"
    assert head == guidance(mode, variant)
    assert len(head.split()) <= 45
    assert "Stop" not in head  # the disguised text is never shown in the clear


def test_every_mode_and_variant_has_its_own_guidance_but_fool_model_mode():
    assert len({guidance(mode, variant) for mode in MODES for variant in VARIANTS}) == 3 * len(VARIANTS)
    assert all(guidance("fmm", variant) == guidance("fwo", variant) for variant in VARIANTS)


def test_few_shot_demonstrations_are_flipped_by_the_guided_mode():
    assert "pots ten draw = draw ten pots" in guidance("fwo", "few_shot")
    assert "ward net stop = draw ten pots" in guidance("fcw", "few_shot")
    assert "stop net ward = draw ten pots" in guidance("fcs", "few_shot")


@pytest.mark.parametrize("call", [lambda: flip("a", "x"), lambda: flip_prompt("a", "fcs", "x")])
def test_unknown_flip_is_named_with_the_known_ones(call):
    with pytest.raises(ValueError, match="'x' is unknown; use one of"):
        call()


# Homoglyphs


def test_every_latin_letter_has_look_alikes_which_fold_to_it_alone():
    assert "".join(sorted(CONFUSABLES)) == "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
    assert len(FOLDING) == sum(map(len, CONFUSABLES.values()))
    scripts = {unicodedata.name(look).split()[0] for look in FOLDING}
    assert scripts == {"CYRILLIC", "GREEK", "ARMENIAN", "CHEROKEE", "LATIN"}
    assert all(look.isalpha() and not look.isascii() for look in FOLDING)


def test_fold_homoglyphs_by_hand():
    assert fold_homoglyphs("\u0420\u0430\u0443\u0420\u0430l, \u03bf\u217a?") == "PayPal, o\u217a?"


@given(text=without(FOLDING), rate=RATES, seed=SEEDS)
def test_folding_homoglyphs_gives_the_text_back(text, rate, seed):
    assert fold_homoglyphs(substitute_homoglyphs(text, rate, Random(seed))) == text


@given(text=ENGLISH, rate=RATES, seed=SEEDS)
def test_homoglyphs_replace_the_asked_share_of_latin_letters(text, rate, seed):
    attacked = substitute_homoglyphs(text, rate, Random(seed))
    letters = len(re.findall("[A-Za-z]", text))
    changed = sum(before != after for before, after in zip(text, attacked, strict=True))
    assert changed == (max(1, round(rate * letters)) if letters else 0)


@pytest.mark.parametrize("rate", [0, -0.5, 1.01, float("nan")])
@pytest.mark.parametrize("transform", [substitute_homoglyphs, insert_zero_width])
def test_a_rate_that_is_no_share_is_refused(transform, rate):
    with pytest.raises(ValueError, match="out of range"):
        transform("some text", rate, Random(0))


# Encodings


@pytest.mark.parametrize(
    ("encoding", "text", "encoded"),
    [
        ("base64", "Hi?", "SGk/"),
        ("base64", "M", "TQ=="),
        ("hex", "Hi? é", "48693f20c3a9"),
        ("url", "a/b é~100%", "a%2Fb%20%C3%A9~100%25"),
    ],
)
def test_encode_by_hand(encoding, text, encoded):
    assert encode(text, encoding) == encoded
    assert decode(encoded, encoding) == text


@pytest.mark.parametrize("encoding", ENCODINGS)
@given(text=TEXTS)
def test_decoding_gives_the_text_back(encoding, text):
    assert decode(encode(text, encoding), encoding) == text


@pytest.mark.parametrize(
    ("encoding", "broken"),
    [("base64", "SGk"), ("base64", "Hi there"), ("hex", "4x"), ("hex", "ff"), ("url", "%FF")],
)
def test_what_is_not_encoded_text_is_refused(encoding, broken):
    with pytest.raises(ValueError, match="encoded part without its carrier"):
        decode(broken, encoding)


def test_unknown_encoding_is_named_with_the_known_ones():
    with pytest.raises(ValueError, match="'rot13' is unknown; use one of base64, hex, url"):
        encode("a", "rot13")


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_encoding_prompt_carries_the_encoded_text_under_every_carrier_and_bare(encoding):
    encoded = encode(SENTENCE, encoding)
    drawn = [encoding_prompt(SENTENCE, encoding, Random(seed)) for seed in range(60)]
    assert all(encoded in prompt and SENTENCE not in prompt for prompt, _ in drawn)
    assert all((prompt == encoded) == (carrier == "bare") for prompt, carrier in drawn)
    assert {carrier for _, carrier in drawn} == set(CARRIERS)


def test_braces_in_the_text_are_no_template_fields():
    prompt, _ = encoding_prompt("{name} {0}", "url", Random(1))
    assert "%7Bname%7D%20%7B0%7D" in prompt


# Zero-width characters


@given(text=without(ZERO_WIDTH), rate=RATES, seed=SEEDS)
def test_stripping_zero_width_gives_the_text_back(text, rate, seed):
    assert strip_zero_width(insert_zero_width(text, rate, Random(seed))) == text


@given(text=ENGLISH, rate=RATES, seed=SEEDS)
def test_zero_width_fills_the_asked_share_of_gaps_between_letters(text, rate, seed):
    attacked = insert_zero_width(text, rate, Random(seed))
    gaps = len(re.findall(r"(?<=[a-zA-Zé漢])(?=[a-zA-Zé漢])", text))
    assert len(attacked) - len(text) == (max(1, round(rate * gaps)) if gaps else 0)
    assert len(
        re.findall("(?<=[a-zA-Zé漢])[\u200b\u200c\u200d\u2060\ufeff](?=[a-zA-Zé漢])", attacked)
    ) == len(attacked) - len(text)


def test_zero_width_characters_are_named_right_and_all_used():
    assert {unicodedata.name(character).lower() for character in ZERO_WIDTH} == {
        "zero width no-break space" if name == "byte order mark" else name for name in ZERO_WIDTH.values()
    }
    assert set(ZERO_WIDTH) <= set(insert_zero_width("a" * 200, 1, Random(0)))


# Typoglycemia


@given(text=ENGLISH, seed=SEEDS)
def test_typoglycemia_keeps_letters_and_ends_and_changes_each_word_it_can(text, seed):
    attacked = shuffle_inner_letters(text, Random(seed))
    assert len(attacked) == len(text)
    for word in re.finditer("[A-Za-zé漢]+", text):
        before, after = word.group(), attacked[word.start() : word.end()]
        assert (after[0], after[-1], Counter(after)) == (before[0], before[-1], Counter(before))
        can_change = len(set(before[1:-1])) > 1 and "漢" not in before
        assert (after != before) == can_change
    assert re.sub("[A-Za-zé漢]+", "_", attacked) == re.sub("[A-Za-zé漢]+", "_", text)


def test_typoglycemia_by_hand():
    # One order of two letters is left; "all", "noon" and the figures have none; Chinese is not spaced.
    assert (
        shuffle_inner_letters("Stop, all that noon 12345 你好世界!", Random(3))
        == "Sotp, all taht noon 12345 你好世界!"
    )


# The registry


def test_families_are_those_of_the_parameters_in_order():
    assert list(FAMILIES) == [
        name for name in Attacks.model_fields if name.split("_")[-1] not in ("rows", "characters")
    ]
    assert all(family.name == name for name, family in FAMILIES.items())
    transforms = [transform for _, transform in TRANSFORMS]
    assert len(set(transforms)) == len(transforms)


@pytest.mark.parametrize(("family", "transform"), TRANSFORMS)
def test_apply_changes_a_sentence_and_the_seed_decides_how(family, transform):
    state = random.getstate()
    for seed in range(20):
        attacked = FAMILIES[family].apply(SENTENCE, transform, Random(seed))
        assert SENTENCE not in attacked.text
        assert attacked.bare in attacked.text
        assert attacked.transform == transform
        assert attacked.variant
        assert attacked == FAMILIES[family].apply(SENTENCE, transform, Random(seed))
    assert len({FAMILIES[family].apply(SENTENCE, transform, Random(seed)) for seed in range(20)}) > 1
    assert random.getstate() == state


@pytest.mark.parametrize(("family", "transform"), TRANSFORMS)
def test_invert_gives_the_sentence_back_where_an_inverse_exists(family, transform):
    attacked = FAMILIES[family].apply(SENTENCE, transform, Random(5))
    expected = None if family == "typoglycemia" else SENTENCE
    assert FAMILIES[family].invert(attacked.bare, transform) == expected


@pytest.mark.parametrize(("family", "transform"), TRANSFORMS)
@pytest.mark.parametrize("blank", ["", " \t\n", "\u00a0"])
def test_a_blank_text_is_refused(family, transform, blank):
    with pytest.raises(ValueError, match="drop the row"):
        FAMILIES[family].apply(blank, transform, Random(0))


@pytest.mark.parametrize(
    ("family", "transform", "text"),
    [
        ("flipattack", "flipattack_fwo", " alone "),
        ("flipattack", "flipattack_fcs", "level"),
        ("homoglyph", "homoglyph", "你好"),
        ("encoding", "encoding_url", "word"),
        ("zero_width", "zero_width", "1 + 1 = a"),
        ("typoglycemia", "typoglycemia", "a bad cat"),
    ],
)
def test_a_text_that_would_stay_as_it_is_is_refused(family, transform, text):
    with pytest.raises(NothingToChange, match="skip the text"):
        FAMILIES[family].apply(text, transform, Random(0))


@pytest.mark.parametrize("family", FAMILIES)
def test_a_transform_of_another_family_is_refused(family):
    for call in (
        lambda: FAMILIES[family].apply("a text", "rot13", Random(0)),
        lambda: FAMILIES[family].invert("a text", "rot13"),
    ):
        with pytest.raises(ValueError, match=f"{family} has no transform 'rot13'; use one of"):
            call()
