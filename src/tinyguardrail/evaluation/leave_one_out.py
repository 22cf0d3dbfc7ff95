"""What a guard makes of a family of disguises that it was not trained on.

One guard per family was trained without it, and a reference with all families on as many rows. Both
score the family's test rows, each at a threshold of its own validation rows, so that the difference
is of pairs. Each text is read twice: canonicalised, as users get it, where fixed rules may undo a
disguise that the model never saw, and raw, which shows what the model by itself generalises to.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pyarrow.parquet as pq

from tinyguardrail import paths
from tinyguardrail.data.records import BENIGN, NO_TRANSFORM
from tinyguardrail.evaluation import resampled
from tinyguardrail.evaluation.guard import Metrics
from tinyguardrail.evaluation.inputs import InputError, require
from tinyguardrail.evaluation.left_out_rows import REFERENCE
from tinyguardrail.evaluation.metrics import clustered_wilson
from tinyguardrail.evaluation.significance import (
    ParentBootstrap,
    approximate_randomisation,
    holm,
    percentile_interval,
)
from tinyguardrail.evaluation.summary import Summary, over_texts, rounded
from tinyguardrail.evaluation.threshold import blocking_threshold
from tinyguardrail.params import Params, Statistics

STAGE = "leave_one_out"
READINGS = ("canonicalised", "raw")
ALL = "all"  # every family's rows together
SIDES = {"recall": True, "false_positive_rate": False}  # metric -> whether its rows are threats
COLUMNS = (
    *("row", "split", "label", "family", "transform", "parent_id"),
    *(f"threat_{reading}" for reading in READINGS),
)
Columns = dict[str, np.ndarray]


@dataclass(frozen=True)
class Pair:
    """What two guards make of the same n rows.

    Attributes:
        without, reference: blocked by the guard without the family and by the reference, (n,) bool.
        parents: parent of each row, (n,).
    """

    without: np.ndarray
    reference: np.ndarray
    parents: np.ndarray

    @property
    def gaps(self) -> np.ndarray:
        return self.without.astype(float) - self.reference

    @classmethod
    def pooled(cls, pairs: Iterable[Pair]) -> Pair:
        parts = zip(*((pair.without, pair.reference, pair.parents) for pair in pairs), strict=True)
        return cls(*map(np.concatenate, parts))

    def p_value(self, statistics: Statistics) -> float:
        """Of no difference, by exchanging the guards' verdicts parent by parent."""
        contributions = self.gaps / len(self.gaps)
        samples, seed = statistics.bootstrap_samples, statistics.seed
        return approximate_randomisation(contributions, self.parents, samples, seed)[1]


def evaluate_leave_one_out(params: Params) -> Metrics:
    """Tests `<family>_<reading>` and `all_<reading>`, each with both metrics of `SIDES`.

    Of a metric m: `m` of the guard without the family, `reference_m`, and `m_change`, the one less the
    other, with its p-value, adjusted by Holm's method over the families of one metric and reading. That
    of all rows stands alone.

    Raises:
        InputError: a file is missing or damaged, or two guards were tested on different rows.
    """
    reference = _read(REFERENCE)
    families = list(dict.fromkeys(reference["family"][reference["split"] == "test"].tolist()))
    tables = {family: _read(family) for family in families}
    for family, table in tables.items():
        _check_rows(family, table, reference)
    found: Metrics = {f"{name}_{reading}": {} for name in (*families, ALL) for reading in READINGS}
    for reading in READINGS:
        for metric, threat in SIDES.items():
            pairs = [_pair(tables[name], reference, name, reading, threat, params) for name in families]
            adjusted = holm([pair.p_value(params.statistics) for pair in pairs])
            pooled = Pair.pooled(pairs)
            pairs, adjusted = [*pairs, pooled], [*adjusted, pooled.p_value(params.statistics)]
            for name, pair, p in zip((*families, ALL), pairs, adjusted, strict=True):
                found[f"{name}_{reading}"] |= _rates(metric, pair, p, params)
    return found


def _rates(metric: str, pair: Pair, p: float, params: Params) -> dict[str, Summary]:
    statistics, seeds, n = params.statistics, (params.leave_one_out.seed,), len(pair.parents)
    found = {
        name: over_texts([blocked.mean()], clustered_wilson(blocked.astype(float), pair.parents), n, seeds)
        for name, blocked in ((metric, pair.without), (f"reference_{metric}", pair.reference))
    }
    bootstrap = ParentBootstrap(pair.parents, statistics.bootstrap_samples, statistics.seed)
    interval = percentile_interval(resampled.mean(pair.gaps, bootstrap.weights(np.arange(n))))
    test = {"p_holm": rounded(p), "significant": p < statistics.alpha}
    return found | {f"{metric}_change": Summary((float(pair.gaps.mean()),), interval, n, seeds, test)}


def _pair(
    table: Columns, reference: Columns, family: str, reading: str, threat: bool, params: Params
) -> Pair:
    target, guards = params.calibration.target_false_positive_rate, (table, reference)
    sides = [_test_rows(each, family) & ((each["label"] != BENIGN) == threat) for each in guards]
    blocked = (_blocked(each, reading, target)[side] for each, side in zip(guards, sides, strict=True))
    return Pair(*blocked, parents=table["parent_id"][sides[0]])


def _test_rows(table: Columns, family: str) -> np.ndarray:
    return (table["split"] == "test") & (table["family"] == family)


def _blocked(table: Columns, reading: str, target: float) -> np.ndarray:
    """(N,) bool, at the threshold of the guard's own validation rows, read the same way."""
    scores = table[f"threat_{reading}"]
    benign = (table["split"] == "validation") & (table["label"] == BENIGN)
    return scores >= blocking_threshold(scores[benign], target)


def _read(family: str) -> Columns:
    file = require(paths.LEFT_OUT / f"{family}.parquet", STAGE)
    table = pq.read_table(file)
    missing = [name for name in COLUMNS if name not in table.column_names]
    if missing:
        raise InputError(f"{file}: no column {missing[0]}; run: dvc repro --force {STAGE}")
    columns = {name: table.column(name).to_numpy() for name in COLUMNS}
    for name in (f"threat_{reading}" for reading in READINGS):
        # Written so that NaN fails too.
        if not np.all((columns[name] >= 0) & (columns[name] <= 1)):
            raise InputError(f"{file}: column {name} has values outside [0, 1]; see stage {STAGE}")
    return columns


def _check_rows(family: str, table: Columns, reference: Columns) -> None:
    """Both guards were tested on the same rows of the family, and its own saw nothing of it before.

    A source may have a class of its own by a family's name; without a transform it is none of ours.
    """
    file = paths.LEFT_OUT / f"{family}.parquet"
    disguised = (table["family"] == family) & (table["transform"] != NO_TRANSFORM)
    leaked = table["row"][(table["split"] == "validation") & disguised]
    if len(leaked):
        raise InputError(f"{file}: validation row {leaked[0]} is of {family}; run: dvc repro --force {STAGE}")
    for name in ("row", "label", "parent_id"):
        own, seen = (each[name][_test_rows(each, family)] for each in (table, reference))
        if not np.array_equal(own, seen):
            raise InputError(
                f"{file}: column {name} of the test rows differs from {REFERENCE}.parquet; "
                f"run: dvc repro --force {STAGE}"
            )
