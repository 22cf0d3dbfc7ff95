"""The distinct spellings of a batch: words repeat, so the character CNN reads each spelling once."""

from typing import NamedTuple

import numpy as np


class Spellings(NamedTuple):
    """S = distinct spellings, B = windows, T = tokens of the longest window."""

    spellings: np.ndarray  # (S, characters) int64 rows of the character table, 0 = no character
    spelling_ids: np.ndarray  # (B, T) int64, which spelling each token has


def distinct_spellings(char_ids: np.ndarray) -> Spellings:
    """Split (B, T, C) into spellings and the places where they stand.

    Columns that no token uses are dropped, but for one: the CNN takes the highest value over all
    places, "no character" is a vector of zeros, and so one place without one stands for all.
    """
    used = int(np.flatnonzero(char_ids.any(axis=(0, 1)))[-1]) + 1 if char_ids.any() else 0
    width = min(used + 1, char_ids.shape[2])
    rows = np.ascontiguousarray(char_ids[:, :, :width]).reshape(-1, width)
    whole_rows = rows.view(np.dtype((np.void, rows.itemsize * width)))[:, 0]
    _, first, inverse = np.unique(whole_rows, return_index=True, return_inverse=True)
    return Spellings(rows[first], inverse.reshape(char_ids.shape[:2]))
