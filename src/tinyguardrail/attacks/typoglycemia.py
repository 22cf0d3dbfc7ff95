"""Typoglycemia: the inner letters of each word are shuffled, its first and last letter stay.

Source: OWASP, "LLM Prompt Injection Prevention Cheat Sheet" (typoglycemia-based attacks); the reading
effect: Rawlinson, "The significance of letter position in word recognition", 1976.
"""

import re
from random import Random

from tinyguardrail.attacks.family import Attacked, Family

_WORD = re.compile(r"[^\W\d_]{4,}")  # four letters are the fewest with an order to change inside


def shuffle_inner_letters(text: str, rng: Random) -> str:
    """Shuffle the inner letters of every word of four or more letters, where two of them differ.

    Only scripts with letter case (Latin, Greek, Cyrillic, Armenian and the like) are touched: where words
    are not spaced, as in Chinese or Thai, a run of letters is a clause, and no reader could undo it.
    There is no inverse.
    """
    return _WORD.sub(lambda match: _shuffle_word(match.group(), rng), text)


def _shuffle_word(word: str, rng: Random) -> str:
    inner = list(word[1:-1])
    if len(set(inner)) < 2 or not all(letter.lower() != letter.upper() for letter in word):
        return word
    shuffled = inner.copy()
    while shuffled == inner:
        rng.shuffle(shuffled)
    return word[0] + "".join(shuffled) + word[-1]


def _attack(text: str, kind: str, rng: Random) -> Attacked:
    attacked = shuffle_inner_letters(text, rng)
    return Attacked(attacked, "all_words", attacked)


FAMILY = Family(
    name="typoglycemia",
    title="typoglycemia",
    code=6,
    attack=_attack,
    inverse=lambda text, kind: None,
    steps=("shuffled_letters",),
)
