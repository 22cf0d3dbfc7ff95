"""Homoglyphs: Latin letters replaced by letters of other scripts that look the same.

Source: Hackett et al., arXiv 2504.11168 (character injection, homoglyphs), a family of its own here because
its letters stay letters, so that word pieces and not stray characters give it away; look-alikes after Unicode
Technical Standard 39, section 4 (confusable detection). The standard lists no Greek or Cyrillic letter
for small k, m, t and capital Q: the nearest letter stands in. It folds capital I to small l; here I stays I.
"""

from random import Random

from tinyguardrail.attacks.family import Attacked, Family
from tinyguardrail.attacks.sampling import RATES, rewrite

# Escapes, because the letters themselves cannot be told apart on the page.
CONFUSABLES: dict[str, str] = {
    "a": "\u0430\u03b1",  # Cyrillic, Greek
    "b": "\u042c",  # Cyrillic soft sign
    "c": "\u0441\u03f2",
    "d": "\u0501",
    "e": "\u0435\u04bd",
    "f": "\u0584",  # Armenian
    "g": "\u0261\u0581",  # Latin script g, Armenian
    "h": "\u04bb\u0570",
    "i": "\u0456\u03b9",
    "j": "\u0458\u03f3",
    "k": "\u043a\u03ba",
    "l": "\u04c0",  # Cyrillic palochka
    "m": "\u043c",
    "n": "\u0578\u057c",
    "o": "\u043e\u03bf\u0585",
    "p": "\u0440\u03c1",
    "q": "\u051b\u0566",
    "r": "\u0433",
    "s": "\u0455",
    "t": "\u0442\u03c4",
    "u": "\u03c5\u057d",
    "v": "\u03bd\u0475",
    "w": "\u051d\u0461",
    "x": "\u0445",
    "y": "\u0443\u04af\u03b3",
    "z": "\u1d22",  # Latin small capital
    "A": "\u0410\u0391",
    "B": "\u0412\u0392",
    "C": "\u0421\u03f9",
    "D": "\u13a0",  # Cherokee
    "E": "\u0415\u0395",
    "F": "\u03dc",
    "G": "\u050c",
    "H": "\u041d\u0397",
    "I": "\u0406\u0399",
    "J": "\u0408\u037f",
    "K": "\u041a\u039a",
    "L": "\u13de",
    "M": "\u041c\u039c",
    "N": "\u039d",
    "O": "\u041e\u039f\u0555",
    "P": "\u0420\u03a1",
    "Q": "\u051a",
    "R": "\u13a1",
    "S": "\u0405\u054f",
    "T": "\u0422\u03a4",
    "U": "\u054d",
    "V": "\u0474\u13d9",
    "W": "\u051c",
    "X": "\u0425\u03a7",
    "Y": "\u03a5\u04ae",
    "Z": "\u0396",
}
FOLDING: dict[str, str] = {look: latin for latin, looks in CONFUSABLES.items() for look in looks}
_FOLDING_TABLE = str.maketrans(FOLDING)


def substitute_homoglyphs(text: str, rate: float, rng: Random) -> str:
    """Replace a share `rate`, in (0, 1], of the Latin letters a-z and A-Z; at least one if there is any."""
    latin = [position for position, character in enumerate(text) if character in CONFUSABLES]
    return rewrite(text, latin, rate, rng, lambda letter: rng.choice(CONFUSABLES[letter]))


def fold_homoglyphs(text: str) -> str:
    """Every known look-alike back to its Latin letter.

    Exact inverse on text that held none of `FOLDING` before; true Greek, Cyrillic, Armenian or
    Cherokee text is damaged, so keep the folded view only where it reads better than the input.
    """
    return text.translate(_FOLDING_TABLE)


def _attack(text: str, kind: str, rng: Random) -> Attacked:
    rate = rng.choice(RATES)
    attacked = substitute_homoglyphs(text, rate, rng)
    return Attacked(attacked, f"rate_{rate}", attacked)


FAMILY = Family(
    name="homoglyph",
    title="homoglyphs",
    code=3,
    attack=_attack,
    inverse=lambda text, kind: fold_homoglyphs(text),
    steps=("homoglyphs",),
)
