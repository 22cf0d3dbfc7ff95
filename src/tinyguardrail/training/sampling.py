"""Which rows an epoch sees, when it does not see them all."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def draw_rows(strata: Sequence[str], rows: int | None, seed: int, epoch: int) -> np.ndarray:
    """Row numbers of one epoch, without replacement, a pure function of the arguments.

    A stratum of n rows weighs as the square root of n: a small public set is seen more often than
    its share, a large generated one less, and neither alone decides what the guard learns. The
    draw is by the largest of weighted random keys (Efraimidis and Spirakis 2006).

    Args:
        strata: of each row, such as its label, source and family.
        rows: how many to draw; all where None or where there are fewer.
        seed: of the run.
        epoch: 0, 1, ...; each draws afresh.
    """
    if rows is None or rows >= len(strata):
        return np.arange(len(strata))
    _, stratum, counts = np.unique(np.asarray(strata), return_inverse=True, return_counts=True)
    keys = np.random.default_rng([seed, epoch, rows]).exponential(size=len(strata)) * np.sqrt(counts)[stratum]
    return np.sort(np.argpartition(keys, rows)[:rows])
