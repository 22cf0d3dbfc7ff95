"""What one family of attacks is: how it obfuscates a text, its inverse, and what gives it away again.

A module of this folder that declares `FAMILY` is a family: the registry finds it, synthesis draws rows of it,
and normalization undoes it by the same record.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from functools import cached_property
from random import Random
from typing import NamedTuple


class NothingToChange(ValueError):
    """The transform leaves this text as it is, so its result would carry a false label."""


class Attacked(NamedTuple):
    text: str  # what the model under attack is sent
    variant: str  # guidance, carrier or rate that was used
    bare: str  # the transformed text alone, which `Family.invert` takes


class Decoded(NamedTuple):
    """A stretch of a text, and what it hides."""

    start: int
    end: int
    plain: str
    step: str


class Proof(Enum):
    """What shows that a stretch was encoded, beside that it can be decoded at all."""

    NOTATION = "its signs alone"
    READABLE = "readable text comes out"
    BY_CHANCE = "readable text comes out of a long stretch; out of a short one, more plausible text too"
    PLAUSIBLE = "readable and more plausible text comes out"


@dataclass(frozen=True)
class Stretch:
    """How normalization finds what an encoding made of a text, within a text of any kind.

    Encodings are tried in the order of `priority`, and all stretches of the first that is found are decoded.
    Patterns are read with `re.ASCII`: a digit or a letter of another script is none of an encoding's.
    """

    priority: int
    pattern: str
    gate: str  # cheap: a text without a match holds no stretch
    decode: Callable[[str], str]  # may be laxer than the inverse; ValueError where a stretch is none
    proof: Proof = Proof.READABLE


@dataclass(frozen=True)
class Family:
    """Transforms that share one idea; `apply` and `invert` are pure functions of their arguments."""

    name: str
    title: str  # as tables write it
    code: int  # 1 to 15: its number in a response of 16 bits, and its place among the families
    attack: Callable[[str, str, Random], Attacked]  # text, kind, source of chance
    inverse: Callable[[str, str], str | None]  # bare transformed text, kind
    kinds: tuple[str, ...] = ()  # of its transforms, `name_kind`; none where the family is one transform
    titles: Mapping[str, str] = field(default_factory=dict)  # of kinds that their name does not spell
    parts: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # other families that a kind applies
    template_only: tuple[str, ...] = ()  # kinds that leave the text: its frame is the attack
    steps: tuple[str, ...] = ()  # what normalization reports of its own searches, beside the stretches' names
    stretches: Mapping[str, Stretch] = field(default_factory=dict)  # by the step that normalization reports
    find: Callable[[str], Iterable[Decoded]] | None = None  # a search of its own, after all stretches
    one_step: bool = False  # two of its steps in one text are two attacks, one over the other

    @cached_property
    def transforms(self) -> dict[str, str]:
        """Titles of all transforms by their names."""
        titles = {kind: self.titles.get(kind, kind.replace("_", " ")) for kind in self.kinds}
        return {f"{self.name}_{kind}": title for kind, title in titles.items()} or {self.name: self.title}

    def apply(self, text: str, transform: str, rng: Random) -> Attacked:
        """Obfuscate a text; whatever the family leaves open (variant, rate, places) is drawn from `rng`.

        Raises:
            ValueError: the text is empty, white space only or not UTF-8 (a lone surrogate), or the transform
                is not of this family.
            NothingToChange: the transform has nothing to work on, as homoglyphs in Chinese text.
        """
        kind = self._kind(transform)
        if not text.strip():
            raise ValueError(
                f"{transform}: the text is empty or white space only; drop the row before this step"
            )
        utf8(text)
        attacked = self.attack(text, kind, rng)
        if kind not in self.template_only:
            require_change(text, attacked.bare, transform)
        return attacked

    def invert(self, text: str, transform: str) -> str | None:
        """The text before the transform, from the bare transformed text; None where no inverse exists.

        Raises:
            ValueError: the transform is not of this family, or an encoded text cannot be decoded.
        """
        return self.inverse(text, self._kind(transform))

    def _kind(self, transform: str) -> str:
        if transform not in self.transforms:
            raise ValueError(
                f"{self.name} has no transform {transform!r}; use one of {', '.join(self.transforms)}"
            )
        return transform.removeprefix(f"{self.name}_")


def utf8(text: str) -> bytes:
    """The UTF-8 bytes of a text.

    Raises:
        ValueError: the text holds half of a surrogate pair, which is no character and has no bytes.
    """
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise ValueError(
            f"character {error.start} of the text is the lone surrogate U+{ord(text[error.start]):04X}; "
            "repair or drop the text where it is read"
        ) from error


def require_change(before: str, after: str, transform: str) -> None:
    """Raises `NothingToChange` where two texts differ in white space at most."""
    if after.split() == before.split():
        raise NothingToChange(
            f"{transform} leaves {before[:40]!r} as it is; skip the text for this transform"
        )
