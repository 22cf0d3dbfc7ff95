"""Encodings: standard test vectors, exact inverses, and carriers that name the encoding."""

from __future__ import annotations

import unicodedata
from random import Random
from string import ascii_lowercase

import pytest
from hypothesis import given
from hypothesis import strategies as st

from test_attacks import SENTENCE, TEXTS, without
from tinyguardrail.attacks.alphabets import BRAILLE, LEET, MORSE
from tinyguardrail.attacks.encoding import CARRIERS, CODECS, FAMILY, decode, encode

INEXACT = ("morse", "leet", "braille")
CELLS = [chr(code) for code in range(0x2800, 0x2900)]


@pytest.mark.parametrize(
    ("encoding", "text", "encoded"),
    [
        ("base64", "Hi?", "SGk/"),
        ("base64", "M", "TQ=="),
        ("base64", "foobar", "Zm9vYmFy"),  # RFC 4648, section 10
        ("base32", "foobar", "MZXW6YTBOI======"),
        ("base32", "fooba", "MZXW6YTB"),
        ("hex", "foobar", "666f6f626172"),
        ("hex", "Hi? é", "48693f20c3a9"),
        ("url", "a/b é~100%", "a%2Fb%20%C3%A9~100%25"),
        ("html", "<é😀\x01", "&#60;&#233;&#128512;&#1;"),
        ("rot13", "Hello, né!", "Uryyb, aé!"),
        ("caesar", "Xyz, abc é", "Abc, def é"),
        ("atbash", "Wizard 7", "Draziw 7"),
        ("morse", "sos, 2 ü!", "... --- ... --..-- / ..--- / ü !"),
        ("binary", "Hi é", "01001000 01101001 00100000 11000011 10101001"),
        ("ascii85", "Man ", "9jqo^"),  # 0x4d616e20 = 24*85^4 + 73*85^3 + 80*85^2 + 78*85 + 61
        ("ascii85", "\0\0\0\0", "z"),
        ("quoted_printable", "a=é", "=61=3D=C3=A9"),
        ("quoted_printable", "b" * 26, "=62" * 25 + "=\n=62"),  # lines of 76 characters at most
        ("leet", "easy text, long bill", "345y 73x7, |0n6 81||"),
        ("braille", "Go, 3a (12.5)!", "⠠⠛⠕⠂ ⠼⠉⠰⠁ ⠐⠣⠼⠁⠃⠲⠑⠐⠜⠖"),
        ("braille", '1,b 2k 3B 1/2 "é"', "⠼⠁⠂⠰⠃ ⠼⠃⠅ ⠼⠉⠠⠃ ⠼⠁⠸⠌⠼⠃ ⠠⠶é⠠⠶"),
    ],
)
def test_encode_by_hand(encoding, text, encoded):
    assert encode(text, encoding) == encoded
    assert decode(encoded, encoding) == text


@pytest.mark.parametrize("encoding", [encoding for encoding in CODECS if encoding not in INEXACT])
@given(text=TEXTS)
def test_decoding_gives_the_text_back(encoding, text):
    assert decode(encode(text, encoding), encoding) == text


@given(text=TEXTS | st.text(alphabet=[*MORSE, "A", "É", "\n", "_"]))
def test_decoding_morse_gives_the_text_back_in_lower_case(text):
    assert decode(encode(text, "morse"), "morse") == text.lower()


@given(
    text=without([*LEET.values(), *"".join(LEET).upper()]).filter(lambda text: not set(text) & set("3ABT"))
)
def test_decoding_leet_gives_the_text_back_where_it_holds_no_signs_and_no_such_capitals(text):
    assert decode(encode(text, "leet"), "leet") == text


@given(text=without(CELLS) | st.text(alphabet=[*BRAILLE, *"0123456789.,", " ", "é"]))
def test_decoding_braille_gives_the_text_back_where_it_held_no_cells(text):
    assert decode(encode(text, "braille"), "braille") == text


def test_braille_letters_have_the_dots_of_their_decade():
    # The first ten letters use dots 1, 2, 4, 5; the next ten add dot 3, the last add 3 and 6; w stands apart.
    decade = ("1", "12", "14", "145", "15", "124", "1245", "125", "24", "245")
    first = dict(zip("abcdefghij", decade, strict=True))
    dots = first | dict(zip("klmnopqrst", (cell + "3" for cell in decade), strict=True))
    dots |= dict(zip("uvxyz", (cell + "36" for cell in decade), strict=False)) | {"w": "2456"}
    for letter in ascii_lowercase:
        pattern = "".join(sorted(dots[letter]))
        assert unicodedata.name(BRAILLE[letter]) == f"BRAILLE PATTERN DOTS-{pattern}"


def test_morse_digits_follow_their_rule_and_no_two_characters_share_a_code():
    for digit in range(10):
        dots = digit if digit <= 5 else 10 - digit
        short, long = "." * dots, "-" * (5 - dots)
        assert MORSE[str(digit)] == (short + long if digit <= 5 else "-" * (digit - 5) + "." * (10 - digit))
    assert len(set(MORSE.values())) == len(MORSE)


def test_html_decodes_every_form_of_reference_and_leaves_the_rest():
    assert decode("&lt;a&#98;&#x63;&#X43; &zz; & &#38;amp;", "html") == "<abcC &zz; & &amp;"


@pytest.mark.parametrize(
    ("encoding", "broken"),
    [
        ("base64", "SGk"),
        ("base64", "Hi there"),
        ("base32", "MZXW6"),
        ("base32", "mé"),
        ("hex", "4x"),
        ("hex", "ff"),
        ("url", "%FF"),
        ("html", "&#55357;"),
        ("html", "&#9999999;"),
        ("binary", "0110 2"),
        ("binary", "111111111"),
        ("ascii85", "~~~"),
        ("quoted_printable", "=FF"),
        ("quoted_printable", "é"),
    ],
)
def test_what_is_not_encoded_text_is_refused(encoding, broken):
    with pytest.raises(ValueError, match="encoded part without its carrier"):
        decode(broken, encoding)


@pytest.mark.parametrize("encoding", CODECS)
def test_a_lone_surrogate_is_refused_by_name(encoding):
    with pytest.raises(ValueError, match=r"lone surrogate U\+DC00"):
        encode("a\udc00", encoding)


def test_an_unknown_encoding_is_named_with_the_known_ones():
    with pytest.raises(ValueError, match="unknown encoding 'rot14'; known: base64, base32, hex, url, html"):
        encode("a", "rot14")


@pytest.mark.parametrize("encoding", CODECS)
def test_the_prompt_carries_the_encoded_text_under_every_carrier_and_bare(encoding):
    encoded = encode(SENTENCE, encoding)
    drawn = [FAMILY.attack(SENTENCE, encoding, Random(seed))[:2] for seed in range(60)]
    assert all(encoded in prompt and SENTENCE not in prompt for prompt, _ in drawn)
    assert all((prompt == encoded) == (carrier == "bare") for prompt, carrier in drawn)
    assert all(carrier == "bare" or CODECS[encoding].name in prompt for prompt, carrier in drawn)
    assert {carrier for _, carrier in drawn} == set(CARRIERS)


def test_braces_in_the_text_are_no_template_fields():
    assert "{mznv} {0}" in FAMILY.attack("{name} {0}", "atbash", Random(1)).text
