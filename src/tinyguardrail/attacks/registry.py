"""All families of obfuscation behind one interface; the names are those of `attacks` in the parameters."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import NamedTuple

from tinyguardrail.attacks import encoding, flip, homoglyph, typoglycemia, zero_width

RATES = (0.15, 0.3, 0.6, 1.0)  # shares of letters or gaps touched, from a light hand to all


class NothingToChange(ValueError):
    """The transform leaves this text as it is, so its result would carry a false label."""


class Attacked(NamedTuple):
    text: str  # what the model under attack is sent
    transform: str
    variant: str  # guidance, carrier or rate that was used
    bare: str  # the transformed text alone, which `Family.invert` takes


@dataclass(frozen=True)
class Family:
    """Transforms that share one idea; `apply` and `invert` are pure functions of their arguments."""

    name: str
    transforms: tuple[str, ...]
    _attack: Callable[[str, str, Random], Attacked] = field(repr=False)
    _restore: Callable[[str, str], str | None] = field(repr=False)

    def apply(self, text: str, transform: str, rng: Random) -> Attacked:
        """Disguise a text; whatever the family leaves open (variant, rate, places) is drawn from `rng`.

        Raises:
            ValueError: the text is empty or white space, or the transform is not of this family.
            NothingToChange: the transform has nothing to work on, as homoglyphs in Chinese text.
        """
        self._check(transform)
        if not text.strip():
            raise ValueError(
                f"{transform}: the text is empty or white space only; drop the row before this step"
            )
        attacked = self._attack(text, transform, rng)
        if attacked.bare.split() == text.split():
            raise NothingToChange(
                f"{transform} leaves {text[:40]!r} as it is; skip the text for this transform"
            )
        return attacked

    def invert(self, text: str, transform: str) -> str | None:
        """The text before the transform, from the bare transformed text; None where no inverse exists.

        Raises:
            ValueError: the transform is not of this family, or an encoded text cannot be decoded.
        """
        self._check(transform)
        return self._restore(text, transform)

    def _check(self, transform: str) -> None:
        if transform not in self.transforms:
            raise ValueError(
                f"{self.name} has no transform {transform!r}; use one of {', '.join(self.transforms)}"
            )


def _attack_flip(text: str, transform: str, rng: Random) -> Attacked:
    mode = transform.removeprefix("flipattack_")
    variant = rng.choice(flip.VARIANTS)
    return Attacked(flip.flip_prompt(text, mode, variant), transform, variant, flip.flip(text, mode))


def _attack_encoding(text: str, transform: str, rng: Random) -> Attacked:
    name = transform.removeprefix("encoding_")
    prompt, carrier = encoding.encoding_prompt(text, name, rng)
    return Attacked(prompt, transform, carrier, encoding.encode(text, name))


def _attack_homoglyph(text: str, transform: str, rng: Random) -> Attacked:
    rate = rng.choice(RATES)
    attacked = homoglyph.substitute_homoglyphs(text, rate, rng)
    return Attacked(attacked, transform, f"rate_{rate}", attacked)


def _attack_zero_width(text: str, transform: str, rng: Random) -> Attacked:
    rate = rng.choice(RATES)
    attacked = zero_width.insert_zero_width(text, rate, rng)
    return Attacked(attacked, transform, f"rate_{rate}", attacked)


def _attack_typoglycemia(text: str, transform: str, rng: Random) -> Attacked:
    attacked = typoglycemia.shuffle_inner_letters(text, rng)
    return Attacked(attacked, transform, "all_words", attacked)


FAMILIES: dict[str, Family] = {
    family.name: family
    for family in (
        Family(
            "flipattack",
            tuple(f"flipattack_{mode}" for mode in flip.MODES),
            _attack_flip,
            lambda text, transform: flip.unflip(text, transform.removeprefix("flipattack_")),
        ),
        Family(
            "homoglyph",
            ("homoglyph",),
            _attack_homoglyph,
            lambda text, transform: homoglyph.fold_homoglyphs(text),
        ),
        Family(
            "encoding",
            tuple(f"encoding_{name}" for name in encoding.ENCODINGS),
            _attack_encoding,
            lambda text, transform: encoding.decode(text, transform.removeprefix("encoding_")),
        ),
        Family(
            "zero_width",
            ("zero_width",),
            _attack_zero_width,
            lambda text, transform: zero_width.strip_zero_width(text),
        ),
        Family(
            "typoglycemia",
            ("typoglycemia",),
            _attack_typoglycemia,
            lambda text, transform: None,
        ),
    )
}
