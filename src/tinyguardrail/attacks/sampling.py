"""The share of positions that a partial obfuscation touches."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random


def sample_positions(positions: Sequence[int], rate: float, rng: Random) -> set[int]:
    """A random share `rate` of the positions, in (0, 1]; at least one where there is any.

    An exact share, not one coin per position: a short text is then never left as it was.

    Raises:
        ValueError: the rate is not in (0, 1].
    """
    if not 0 < rate <= 1:
        raise ValueError(f"rate {rate} is out of range; give a share above 0 and at most 1")
    if not positions:
        return set()
    return set(rng.sample(positions, max(1, round(rate * len(positions)))))
