"""FlipAttack: flips by hand, their inverses, and the guidance above the flipped text."""

from __future__ import annotations

import json
import os
from pathlib import Path
from random import Random

import pytest
from hypothesis import given

from test_attacks import TEXTS
from tinyguardrail.attacks.flip import FAMILY, FLIPS, VARIANTS, flip, guidance


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
    assert flip(flipped, mode) == "Stop the big red bus"


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
def test_flipping_a_sentence_twice_gives_the_text_back(mode, text):
    assert flip(flip(text, mode), mode) == text


@pytest.mark.parametrize("mode", ["fwo", "fcw"])
@given(text=TEXTS)
def test_flipping_words_twice_gives_the_words_back(mode, text):
    assert flip(flip(text, mode), mode) == " ".join(text.split())


@pytest.mark.parametrize("mode", FLIPS)
def test_the_prompt_is_short_guidance_above_the_flipped_task(mode):
    drawn = [FAMILY.attack("Stop the big red bus", mode, Random(seed)) for seed in range(60)]
    assert {attacked.variant for attacked in drawn} == set(VARIANTS)
    for attacked in drawn:
        head, task = attacked.text.rsplit("\n", 1)
        assert task == f"TASK is '{flip('Stop the big red bus', mode)}'"
        assert head == guidance(mode, attacked.variant)
        assert len(head.split()) <= 45
        assert "Stop" not in head  # the obfuscated text is never shown in the clear


def test_every_mode_and_variant_has_its_own_guidance_but_fool_model_mode():
    assert len({guidance(mode, variant) for mode in FLIPS for variant in VARIANTS}) == 3 * len(VARIANTS)
    assert all(guidance("fmm", variant) == guidance("fwo", variant) for variant in VARIANTS)


def test_few_shot_demonstrations_are_flipped_by_the_guided_mode():
    assert "pots ten draw = draw ten pots" in guidance("fwo", "few_shot")
    assert "ward net stop = draw ten pots" in guidance("fcw", "few_shot")
    assert "stop net ward = draw ten pots" in guidance("fcs", "few_shot")


def test_unknown_flip_is_named_with_the_known_ones():
    with pytest.raises(ValueError, match="unknown flip mode 'x'; known: fwo, fcw"):
        flip("a", "x")


def test_flips_are_those_that_the_authors_published():
    """The repository of the paper holds AdvBench goals and their flips: 520 pairs."""
    found = list(Path(os.environ.get("TINYGUARD_MIRROR", "nowhere")).rglob("FlipAttack-gpt-4o-mini*.json"))
    if not found:
        pytest.skip("needs TINYGUARD_MIRROR with the prompts of the FlipAttack repository")
    published = json.loads(found[0].read_text(encoding="utf-8"))
    assert len(published) == 520
    for row in published:
        assert row["flip_attack"].strip() == f"TASK is '{flip(row['goal'], 'fcs')}'".strip()
