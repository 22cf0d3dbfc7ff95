"""The share of positions that a partial obfuscation touches."""

from collections.abc import Callable, Sequence
from random import Random

RATES = (0.15, 0.3, 0.6, 1.0)  # shares of letters, gaps or words touched, from a light hand to all


def rewrite(
    pieces: Sequence[str], positions: Sequence[int], rate: float, rng: Random, edit: Callable[[str], str]
) -> str:
    """Join the pieces of a text (characters or words) after `edit` of a share of those at `positions`.

    The share `rate`, in (0, 1], is exact and one piece at least, not one coin per piece: a short text is
    then never left as it was. Edits run from left to right, so that what `edit` draws follows the text.

    Raises:
        ValueError: the rate is not in (0, 1].
    """
    if not 0 < rate <= 1:
        raise ValueError(f"rate {rate} is out of range; give a share above 0 and at most 1")
    edited = list(pieces)
    count = max(1, round(rate * len(positions))) if positions else 0
    for position in sorted(rng.sample(positions, count)):
        edited[position] = edit(edited[position])
    return "".join(edited)
