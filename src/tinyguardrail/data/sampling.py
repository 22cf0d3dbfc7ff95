"""Samples that need no generator: rows at even distances."""

from collections.abc import Sequence
from typing import TypeVar

import numpy as np

Item = TypeVar("Item")


def evenly_spaced_sample(items: Sequence[Item], count: int) -> list[Item]:
    """`count` of the items, or all where there are fewer, evenly from the first to the last."""
    places = np.linspace(0, len(items) - 1, min(count, len(items))).astype(int)
    return [items[place] for place in places]
