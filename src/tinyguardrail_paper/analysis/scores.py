"""The scored validation and test rows of every seed, as aligned arrays.

`benchmark` scores the same rows with each seed's model, so seeds share one row order and
can be compared row by row. Both branches are stored for every row: which of them answers
is decided here, from `router.threshold`, and costs no model run.

What a threat is, a policy says, and scores are read under one: its threats and the benign rows are
judged, and rows of other intents, which are neither, are left out.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import numpy as np

from tinyguardrail.data.labels import BENIGN as BENIGN_INTENT
from tinyguardrail.data.labels import INTENTS
from tinyguardrail.runtime.policy import ANY, POLICIES, Policy
from tinyguardrail_paper.scores.score_table import GUARD, Columns, intent_probabilities

BENIGN = INTENTS.index(BENIGN_INTENT)


@dataclass(frozen=True)
class Scores:
    """S seeds by N rows by 4 classes.

    Attributes:
        seeds: the seeds, in the order of the first axis of the arrays.
        rows: row columns by name, each of shape (N,).
        intent: class index of each row into `INTENTS`, (N,).
        fast, deep: class probabilities of the two branches, (S, N, 4).
        router: router score in [0, 1], (S, N).
        policy: what counts as a threat.
    """

    seeds: tuple[int, ...]
    rows: dict[str, np.ndarray]
    intent: np.ndarray
    fast: np.ndarray
    deep: np.ndarray
    router: np.ndarray
    policy: Policy = POLICIES[ANY]

    def under(self, policy: Policy) -> Self:
        """The same rows, in the same places, under another policy."""
        return replace(self, policy=policy)

    def take(self, places: np.ndarray) -> Self:
        """Some of the rows, by their places, (n,)."""
        return replace(
            self,
            rows={name: column[places] for name, column in self.rows.items()},
            intent=self.intent[places],
            fast=self.fast[:, places],
            deep=self.deep[:, places],
            router=self.router[:, places],
        )

    def answered(self, probabilities: np.ndarray, seeds: Sequence[int]) -> Self:
        """The same rows as a model without branches answers them, with probabilities (S, N, C)."""
        router = np.zeros(probabilities.shape[:2])
        return replace(self, seeds=tuple(seeds), fast=probabilities, deep=probabilities, router=router)

    @property
    def threat(self) -> np.ndarray:
        """(N,) bool: rows whose intent the policy blocks."""
        return np.isin(self.intent, self.policy.classes)

    @property
    def judged(self) -> np.ndarray:
        """(N,) bool: the policy's threats and benign rows."""
        return self.threat | (self.intent == BENIGN)

    def split(self, name: str) -> np.ndarray:
        """(N,) bool: rows of the split `validation` or `test` that the policy judges."""
        return self.judged & self.whole_split(name)

    def whole_split(self, name: str) -> np.ndarray:
        """(N,) bool: rows of the split, whatever their intent."""
        return self.rows["split"] == name


def load_scores(seeds: Sequence[int], folder: Path | None = None) -> Scores:
    """Read `seed{N}.parquet` of every seed.

    Raises:
        InputError: as in `ScoreTable.read_same_rows`.
    """
    return stack(seeds, GUARD.read_same_rows(GUARD.of_seeds(seeds, folder)))


def stack(seeds: Sequence[int], tables: Sequence[Columns]) -> Scores:
    """One table per seed, all of the same rows."""
    first = tables[0]
    return Scores(
        seeds=tuple(seeds),
        rows={name: first[name] for name in GUARD.columns},
        intent=np.array([INTENTS.index(intent) for intent in first["intent"]], dtype=np.int64),
        fast=np.stack([probabilities(table, "fast") for table in tables]),
        deep=np.stack([probabilities(table, "deep") for table in tables]),
        router=np.stack([table["router_score"] for table in tables]),
    )


def probabilities(table: Columns, model: str) -> np.ndarray:
    """(N, 4) probabilities of one of a table's models, which add up to 1."""
    stacked = intent_probabilities(table, model)
    return stacked / stacked.sum(axis=-1, keepdims=True)  # float32 sums are 1 only to 1e-7
