"""CodeChameleon: encryptions by hand, exact decryption, and a decryption function that really runs."""

from __future__ import annotations

import ast
import re
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from test_attacks import TEXTS
from tinyguardrail.attacks.codechameleon import (
    FORMS,
    NOTATIONS,
    SCHEMES,
    STRUCTURED,
    codechameleon_prompt,
    decrypt,
    decryption_source,
    encrypt,
)
from tinyguardrail.attacks.registry import FAMILIES

SENTENCE = "Stop the big red bus now please"
# Quotes, escapes and white space are what a notation could lose.
AWKWARD = st.text(alphabet="ab'\"\\{}[]:,\n\t\u00a0\u2028\x1fé😀 ", max_size=40) | TEXTS


@pytest.mark.parametrize(
    ("scheme", "text", "encrypted"),
    [
        ("reverse", SENTENCE, "please now bus red big the Stop"),
        ("reverse", "a\tb  c", "c  a\tb"),
        ("odd_even", SENTENCE, "Stop big bus please the red now"),
        ("odd_even", "one two three four", "one three two four"),
        (
            "length",
            SENTENCE,
            "[{'the': 1}, {'big': 2}, {'red': 3}, {'bus': 4}, {'now': 5}, {'Stop': 0}, {'please': 6}]",
        ),
        ("length", "no it's no", "[{'no': 0}, {'no': 2}, {\"it's\": 1}]"),
        ("binary_tree", "one", "{'value': 'one', 'left': None, 'right': None}"),
        (
            "binary_tree",
            "one two",  # the middle of an even number is the left one of two
            "{'value': 'one', 'left': None, 'right': {'value': 'two', 'left': None, 'right': None}}",
        ),
        ("none", SENTENCE, SENTENCE),
    ],
)
def test_encrypt_by_hand(scheme, text, encrypted):
    assert encrypt(text, scheme) == encrypted
    assert decrypt(encrypted, scheme) == text


def test_the_tree_is_balanced_and_reads_from_left_to_right():
    def leaf(word):
        return {"value": word, "left": None, "right": None}

    assert ast.literal_eval(encrypt(SENTENCE, "binary_tree")) == {
        "value": "red",
        "left": {"value": "the", "left": leaf("Stop"), "right": leaf("big")},
        "right": {"value": "now", "left": leaf("bus"), "right": leaf("please")},
    }


@pytest.mark.parametrize(
    ("scheme", "encrypted"),
    [
        ("length", '[{"é": 1}, {"\\"hi\\"": 0}]'),
        (
            "binary_tree",
            '{"value": "\\"hi\\"", "left": null, "right": {"value": "é", "left": null, "right": null}}',
        ),
    ],
)
def test_json_notation_by_hand(scheme, encrypted):
    assert encrypt('"hi" é', scheme, "json") == encrypted
    assert decrypt(encrypted, scheme) == '"hi" é'


@pytest.mark.parametrize("notation", NOTATIONS)
@pytest.mark.parametrize("scheme", SCHEMES)
@given(text=AWKWARD)
def test_decrypting_gives_the_text_back(scheme, notation, text):
    assert decrypt(encrypt(text, scheme, notation), scheme) == text


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("notation", NOTATIONS)
@pytest.mark.parametrize("scheme", [scheme for scheme in SCHEMES if scheme != "none"])
@given(text=AWKWARD)
def test_the_code_of_the_prompt_decrypts_what_stands_below_it(scheme, notation, form, text):
    prompt = codechameleon_prompt(encrypt(text, scheme, notation), scheme, form, notation)
    code = re.search("```python\n(.*?)\n```", prompt, re.DOTALL)[1]
    encrypted = prompt.split("Encrypted problem: ", 1)[1]
    namespace = {}
    exec(code, namespace)
    literal = scheme in STRUCTURED and notation == "python"
    problem = ast.literal_eval(encrypted) if literal else encrypted
    assert namespace["decrypt"](problem) == text
    if form == "code":
        assert namespace["Solver"](problem).problem == text


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("notation", NOTATIONS)
def test_without_encryption_there_is_a_template_but_no_decryption_function(form, notation):
    prompt = codechameleon_prompt(SENTENCE, "none", form, notation)
    assert prompt.endswith(f"Problem: {SENTENCE}")
    assert "crypt" not in prompt
    assert decryption_source("none", notation) == ""
    assert ("class Solver" in prompt) == (form == "code")


@pytest.mark.parametrize("scheme", SCHEMES)
def test_prompts_are_short_and_hold_the_text_in_encrypted_form_only(scheme):
    for form in FORMS:
        for notation in NOTATIONS:
            encrypted = encrypt(SENTENCE, scheme, notation)
            head, task = codechameleon_prompt(encrypted, scheme, form, notation).rsplit("roblem: ", 1)
            assert task == encrypted
            assert len(re.findall(r"[^\W_]+|[^\w\s]|_", head)) <= 145  # word pieces, about
            assert "Stop" not in head


def test_the_variant_names_form_and_notation_and_all_are_drawn():
    for scheme in SCHEMES:
        drawn = {
            FAMILIES["codechameleon"].apply(SENTENCE, f"codechameleon_{scheme}", Random(seed)).variant
            for seed in range(60)
        }
        forms = {f"{form}_{notation}" for form in FORMS for notation in NOTATIONS}
        assert drawn == (forms if scheme in STRUCTURED else set(FORMS))


def test_braces_in_the_text_are_no_template_fields():
    assert codechameleon_prompt("{source} {0}", "reverse", "code", "json").endswith(": {source} {0}")


@pytest.mark.parametrize("scheme", STRUCTURED)
@pytest.mark.parametrize(
    "broken",
    [
        "",
        "hello",
        "[1, 2]",
        "[{'a': 7}]",
        "{'value': 1}",
        "[{1: 0}]",
        "3",
        "[" * 100_000,
        "{'a': 0",
        "9" * 5000,
    ],
)
def test_what_is_not_encrypted_text_is_refused(scheme, broken):
    with pytest.raises(ValueError, match="encrypted part without its template"):
        decrypt(broken, scheme)


@pytest.mark.parametrize(
    "call",
    [
        lambda: encrypt("a", "x"),
        lambda: encrypt("a", "length", "x"),
        lambda: decrypt("a", "x"),
    ],
)
def test_an_unknown_choice_is_named_with_the_known_ones(call):
    with pytest.raises(ValueError, match=r"unknown [\w ]+ 'x'; known: "):
        call()
