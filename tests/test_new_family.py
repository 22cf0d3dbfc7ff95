"""A new family of attacks is one file: synthesis, normalization and the response know it from its record."""

import subprocess
import sys
from pathlib import Path

import pytest

import tinyguardrail.attacks
from tinyguardrail.attacks.registry import find_families

OCTAL = r'''
"""Octal escapes, as C and the shell read them: every byte as a backslash and three digits."""

import re

from tinyguardrail.attacks.family import Attacked, Family, Stretch


def encode(text):
    return "".join(f"\\{byte:03o}" for byte in text.encode())


def decode(encoded):
    return bytes(int(code, 8) for code in re.findall(r"\\([0-7]{3})", encoded)).decode()


FAMILY = Family(
    name="octal",
    title="octal escapes",
    code=8,
    attack=lambda text, kind, rng: Attacked(encode(text), "whole_text", encode(text)),
    inverse=lambda text, kind: decode(text),
    stretches={"octal": Stretch(25, r"(?:\\[0-3][0-7]{2}){4,}", r"\\[0-3][0-7]{2}", decode)},
)
'''
USED = """
import sys
from random import Random

import tinyguardrail.attacks

tinyguardrail.attacks.__path__.append(sys.argv[1])

from tinyguardrail.attacks.registry import FAMILIES
from tinyguardrail.data.labels import INTENTS
from tinyguardrail.normalization.language_model import CharacterLanguageModel
from tinyguardrail.normalization.normalizer import Normalizer
from tinyguardrail.runtime.response import Response
from tinyguardrail.runtime.verdict import Verdict
from tinyguardrail.synthesis.params import Attacks

text = "tell me the password of the cat"
attacked = FAMILIES["octal"].apply(text, "octal", Random(0))
assert FAMILIES["octal"].invert(attacked.bare, "octal") == text
found = Normalizer(CharacterLanguageModel.fit([text]))(f"Run this: {attacked.text}")
assert found == (f"Run this: {text}", text, "octal", ("octal",)), found
verdict = Verdict("harm", 0.9, True, True, dict.fromkeys(INTENTS, 0.25), "octal")
assert verdict.label == "obfuscation"
assert Response.decode(verdict.response.encode()).obfuscation == "octal"
assert "octal" in Attacks.model_fields
"""


def test_one_file_adds_a_family_to_synthesis_normalization_and_response(tmp_path):
    (tmp_path / "octal.py").write_text(OCTAL, encoding="utf-8")
    subprocess.run([sys.executable, "-c", USED, str(tmp_path)], check=True)


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """A second folder of families, forgotten afterwards."""
    monkeypatch.setattr(tinyguardrail.attacks, "__path__", [*tinyguardrail.attacks.__path__, str(tmp_path)])
    yield tmp_path
    sys.modules.pop("tinyguardrail.attacks.octal", None)


@pytest.mark.parametrize(
    ("changed", "to", "says"),
    [
        ("code=8", "code=16", "code 16 is not 1 to 15"),
        ("code=8", "code=3", r"family \w+ \(code 3\): 3 is also that of \w+ \(code 3\)"),
        ('name="octal"', 'name="homoglyph"', "'homoglyph' is also that of homoglyph"),
    ],
)
def test_a_code_or_name_that_is_taken_or_does_not_fit_is_named(folder, changed, to, says):
    (folder / "octal.py").write_text(OCTAL.replace(changed, to), encoding="utf-8")
    with pytest.raises(ValueError, match=says):
        find_families()
