"""The scored validation and test rows of every seed, as aligned arrays.

`benchmark` scores the same rows with each seed's model, so seeds share one row order and
can be compared row by row. Both branches are stored for every row: which of them answers
is decided here, from `router.threshold`, and costs no model run.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from tinyguardrail import paths
from tinyguardrail.data.records import BENIGN as BENIGN_LABEL
from tinyguardrail.data.records import LABELS
from tinyguardrail.evaluation.inputs import InputError, require

BENIGN = LABELS.index(BENIGN_LABEL)
ROW_COLUMNS = (
    "row", "split", "label", "source", "family", "transform", "parent_id", "language", "tokens",
    "found_family",
)  # fmt: skip
BRANCHES = ("fast", "deep")


@dataclass(frozen=True)
class Scores:
    """S seeds by N rows by 4 classes.

    Attributes:
        seeds: the seeds, in the order of the first axis of the arrays.
        rows: row columns by name, each of shape (N,).
        label: class index of each row into `LABELS`, (N,).
        fast, deep: class probabilities of the two branches, (S, N, 4).
        router: router score in [0, 1], (S, N).
    """

    seeds: tuple[int, ...]
    rows: dict[str, np.ndarray]
    label: np.ndarray
    fast: np.ndarray
    deep: np.ndarray
    router: np.ndarray

    @property
    def threat(self) -> np.ndarray:
        """(N,) bool: true for every class but benign."""
        return self.label != BENIGN

    def split(self, name: str) -> np.ndarray:
        """(N,) bool: rows of the split `validation` or `test`."""
        return self.rows["split"] == name


def load_scores(seeds: Sequence[int], folder: Path | None = None) -> Scores:
    """Read `seed{N}.parquet` of every seed.

    Raises:
        InputError: a file is missing, lacks a column, holds a probability that is not one,
            or its rows differ from those of the first seed.
    """
    folder = folder or paths.SCORES / "guard"
    return read_scores(seeds, [folder / f"{paths.seed_name(seed)}.parquet" for seed in seeds], "benchmark")


def read_scores(seeds: Sequence[int], files: Sequence[Path], stage: str) -> Scores:
    """Read one file per seed, which `stage` wrote; errors as in `load_scores`."""
    tables = [_read(require(file, stage), stage) for file in files]
    first = tables[0]
    for file, table in zip(files[1:], tables[1:], strict=True):
        for name in ROW_COLUMNS:
            if not np.array_equal(table[name], first[name]):
                raise InputError(f"{file}: column {name} differs from {files[0]}; run: dvc repro {stage}")
    unknown = sorted(set(first["label"]) - set(LABELS))
    if unknown:
        raise InputError(f"{files[0]}: unknown label {unknown[0]!r}; allowed: {', '.join(LABELS)}")
    return Scores(
        seeds=tuple(seeds),
        rows={name: first[name] for name in ROW_COLUMNS},
        label=np.array([LABELS.index(label) for label in first["label"]], dtype=np.int64),
        fast=np.stack([_probabilities(table, "fast") for table in tables]),
        deep=np.stack([_probabilities(table, "deep") for table in tables]),
        router=np.stack([table["router_score"] for table in tables]),
    )


def _read(file: Path, stage: str) -> dict[str, np.ndarray]:
    table = pq.read_table(file)
    numeric = [f"{branch}_{label}" for branch in BRANCHES for label in LABELS] + ["router_score"]
    missing = [name for name in (*ROW_COLUMNS, *numeric) if name not in table.column_names]
    if missing:
        raise InputError(f"{file}: no column {missing[0]}; run: dvc repro --force {stage}")
    columns = {name: table.column(name).to_numpy() for name in ROW_COLUMNS}
    for name in numeric:
        columns[name] = table.column(name).to_numpy().astype(np.float64)
        # Written so that NaN fails too.
        if not np.all((columns[name] >= 0) & (columns[name] <= 1 + 1e-6)):
            raise InputError(f"{file}: column {name} has values outside [0, 1]; see stage export")
    return columns


def _probabilities(table: dict[str, np.ndarray], branch: str) -> np.ndarray:
    stacked = np.stack([table[f"{branch}_{label}"] for label in LABELS], axis=-1)
    return stacked / stacked.sum(axis=-1, keepdims=True)  # float32 sums are 1 only to 1e-7
