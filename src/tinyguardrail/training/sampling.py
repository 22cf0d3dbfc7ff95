"""Which rows an epoch sees, when it does not see them all."""

from collections.abc import Mapping, Sequence

import numpy as np

from tinyguardrail.data.records import Record
from tinyguardrail_common.errors import UserError

NO_WEIGHTS: Mapping[str, float] = {}


def stratum(record: Record) -> str:
    """What a draw balances: `label/source/family`."""
    return f"{record.label}/{record.source}/{record.family}"


def draw_rows(
    strata: Sequence[str], rows: int | None, seed: int, epoch: int, weights: Mapping[str, float] = NO_WEIGHTS
) -> np.ndarray:
    """Row numbers of one epoch, without replacement, a pure function of the arguments.

    A stratum of n rows weighs as the square root of n: a small public set is seen more often than
    its share, a large generated one less, and neither alone decides what the guard learns. The
    draw is by the largest of weighted random keys (Efraimidis and Spirakis 2006).

    Args:
        strata: of each row, as of `stratum`.
        rows: how many to draw; all where None or where there are fewer.
        seed: of the run.
        epoch: 0, 1, ...; each draws afresh.
        weights: factors on those square roots, by how a stratum begins: `benign`, `benign/xquad` or
            `benign/xquad/question`. The longest beginning decides; a stratum that none fits has 1.
    """
    if rows is None or rows >= len(strata):
        return np.arange(len(strata))
    names, places, counts = np.unique(np.asarray(strata), return_inverse=True, return_counts=True)
    scale = np.sqrt(counts) / [_factor(name, weights) for name in names]
    keys = np.random.default_rng([seed, epoch, rows]).exponential(size=len(strata)) * scale[places]
    return np.sort(np.argpartition(keys, rows)[:rows])


def check_weights(strata: Sequence[str], weights: Mapping[str, float]) -> None:
    """
    Raises:
        UserError: a weight is of nothing among `strata`.
    """
    beginnings = {beginning for name in set(strata) for beginning in _beginnings(name)}
    for name in weights:
        if name not in beginnings:
            raise UserError(
                f"train.weights names {name!r}, but no training row is of it; "
                "write label, label/source or label/source/family as the data card has them"
            )


def _factor(name: str, weights: Mapping[str, float]) -> float:
    return next((weights[part] for part in _beginnings(name) if part in weights), 1.0)


def _beginnings(name: str) -> list[str]:
    """Of a stratum, the longest first."""
    parts = name.split("/", 2)
    return ["/".join(parts[:count]) for count in range(len(parts), 0, -1)]
