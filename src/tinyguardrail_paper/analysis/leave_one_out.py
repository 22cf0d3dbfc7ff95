"""What a guard makes of a family of attacks that it was not trained on.

One guard per family was trained without it, and a reference with all families on as many rows. Both
score the family's test rows, each at a threshold of its own validation rows, so that the difference
is of pairs. Each text is read twice: normalized, as users get it, where fixed rules may undo an
obfuscation that the model never saw, and raw, which shows what the model by itself generalises to.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np

from tinyguardrail.data.labels import BENIGN
from tinyguardrail.data.records import NO_TRANSFORM
from tinyguardrail.runtime.policy import ANY
from tinyguardrail.runtime.threshold import blocking_threshold
from tinyguardrail_common.statistics.significance import (
    ParentBootstrap,
    approximate_randomisation,
    holm,
    percentile_interval,
)
from tinyguardrail_paper.analysis.intervals import clustered_wilson
from tinyguardrail_paper.analysis.row_means import weighted_mean
from tinyguardrail_paper.analysis.suites import Metrics
from tinyguardrail_paper.analysis.summary import Summary, over_texts, rounded
from tinyguardrail_paper.scores.inputs import InputError
from tinyguardrail_paper.scores.score_table import LEAVE_ONE_OUT, READINGS, Columns
from tinyguardrail_paper.settings.params import REFERENCE, Params, Statistics

STAGE = LEAVE_ONE_OUT.stage
ALL = "all"  # every family's rows together
SIDES = {"recall": True, "false_positive_rate": False}  # metric -> whether its rows are threats


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
    def pooled(cls, pairs: Iterable[Self]) -> Self:
        parts = zip(*((pair.without, pair.reference, pair.parents) for pair in pairs), strict=True)
        return cls(*map(np.concatenate, parts))

    def p_value(self, statistics: Statistics) -> float:
        """Of no difference, by exchanging the guards' verdicts parent by parent."""
        contributions = self.gaps / len(self.gaps)
        samples, seed = statistics.bootstrap_samples, statistics.seed
        return approximate_randomisation(contributions, self.parents, samples, seed)[1]


def evaluate_leave_one_out(params: Params) -> tuple[Metrics, list[str]]:
    """Tests `<family>_<reading>` and `all_<reading>`, each with both metrics of `SIDES`; and the families.

    Of a metric m: `m` of the guard without the family, `reference_m`, and `m_change`, the one less the
    other, with its p-value, adjusted by Holm's method over the families of one metric and reading. That
    of all rows stands alone.

    Raises:
        InputError: a file is missing or damaged, or two guards were tested on different rows.
    """
    reference = LEAVE_ONE_OUT.read(_file(REFERENCE))
    tested = dict.fromkeys(reference["family"][reference["split"] == "test"].tolist())
    families = [family for family in tested if family in params.leave_one_out.families]
    tables = {family: LEAVE_ONE_OUT.read(_file(family)) for family in families}
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
    return found, families


def _rates(metric: str, pair: Pair, p: float, params: Params) -> dict[str, Summary]:
    statistics, seeds, n = params.statistics, (params.leave_one_out.seed,), len(pair.parents)
    found = {
        name: over_texts(
            [blocked.mean()], clustered_wilson(blocked.astype(float), pair.parents), n, seeds, "percent"
        )
        for name, blocked in ((metric, pair.without), (f"reference_{metric}", pair.reference))
    }
    bootstrap = ParentBootstrap(pair.parents, statistics.bootstrap_samples, statistics.seed)
    interval = percentile_interval(weighted_mean(pair.gaps, bootstrap.weights(np.arange(n))))
    test = {"p_holm": rounded(p), "significant": p < statistics.alpha}
    return found | {f"{metric}_change": over_texts([pair.gaps.mean()], interval, n, seeds, "points", **test)}


def _pair(
    table: Columns, reference: Columns, family: str, reading: str, threat: bool, params: Params
) -> Pair:
    target, guards = params.policies.target(ANY), (table, reference)
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


def _file(family: str) -> Path:
    return LEAVE_ONE_OUT.folder / f"{family}.parquet"


def _check_rows(family: str, table: Columns, reference: Columns) -> None:
    """Both guards were tested on the same rows of the family, and its own saw nothing of it before.

    A source may have a class of its own by a family's name; without a transform it is none of ours.
    """
    file = _file(family)
    obfuscated = (table["family"] == family) & (table["transform"] != NO_TRANSFORM)
    leaked = table["row"][(table["split"] == "validation") & obfuscated]
    if len(leaked):
        raise InputError(f"{file}: validation row {leaked[0]} is of {family}; run: dvc repro --force {STAGE}")
    for name in ("row", "label", "parent_id"):
        own, seen = (each[name][_test_rows(each, family)] for each in (table, reference))
        if not np.array_equal(own, seen):
            raise InputError(
                f"{file}: column {name} of the test rows differs from {REFERENCE}.parquet; "
                f"run: dvc repro --force {STAGE}"
            )
