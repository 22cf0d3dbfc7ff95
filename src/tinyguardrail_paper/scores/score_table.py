"""The tables of scores that stages write and the analysis reads: one Parquet file per model.

A column is a property of the row, or a probability in [0, 1] that a model gave it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import parquet

from tinyguardrail.data.labels import INTENTS, LABELS
from tinyguardrail.data.records import Record
from tinyguardrail_common.files import atomic_file
from tinyguardrail_paper.scores.inputs import InputError, require
from tinyguardrail_paper.settings import paths

BRANCHES = ("fast", "deep")
READINGS = ("normalized", "raw")  # of a text: as users get it read, and as it stands
BRANCH_SCORES = (*(f"{branch}_{intent}" for branch in BRANCHES for intent in INTENTS), "router_score")
RECORD = ("split", "label", "intent", "source", "family", "transform", "parent_id", "language")
TOLERANCE = 1e-6  # of single precision above one

Columns = dict[str, np.ndarray]


@dataclass(frozen=True)
class ScoreTable:
    """The layout of one stage's files.

    Attributes:
        stage: which writes them.
        folder: where they lie.
        columns: properties of a row; `row` is its number among all validation and test rows.
        probabilities: what the model gave it.
        scored_by: the stage to look at where these cannot be.
        outcomes: further columns, which may differ between models too.
    """

    stage: str
    folder: Path
    columns: tuple[str, ...]
    probabilities: tuple[str, ...]
    scored_by: str
    outcomes: tuple[str, ...] = ()

    @property
    def all_columns(self) -> tuple[str, ...]:
        return (*self.columns, *self.probabilities, *self.outcomes)

    def row_columns(self, records: Mapping[int, Record]) -> dict[str, list[Any]]:
        """The columns that say which rows were scored, from records by their number."""
        kept = [name for name in RECORD if name in self.columns]
        fields = {name: [getattr(record, name) for record in records.values()] for name in kept}
        return {"row": list(records), **fields}

    def write(self, file: Path, columns: Mapping[str, Sequence[Any] | np.ndarray]) -> None:
        """Write all columns of the layout, and whatever else there is, in one step.

        Raises:
            ValueError: a column of the layout is missing.
        """
        if missing := self._missing(columns):
            raise ValueError(f"{file}: no column {missing[0]}")
        with atomic_file(file) as temporary:
            parquet.write_table(pa.table(dict(columns)), temporary, compression="zstd")

    def read(self, file: Path) -> Columns:
        """The columns of the layout, probabilities in double precision.

        Raises:
            InputError: the file is missing or lacks a column, a probability is none, or a label or
                an intent is unknown.
        """
        table = parquet.read_table(require(file, self.stage))
        if missing := self._missing(table.column_names):
            raise InputError(f"{file}: no column {missing[0]}; run: dvc repro --force {self.stage}")
        columns = {name: table.column(name).to_numpy() for name in self.all_columns}
        for name in self.probabilities:
            columns[name] = columns[name].astype(np.float64)
            # Written so that NaN fails too.
            if not np.all((columns[name] >= 0) & (columns[name] <= 1 + TOLERANCE)):
                raise InputError(
                    f"{file}: column {name} has values outside [0, 1]; see stage {self.scored_by}"
                )
        for name, allowed in (("label", LABELS), ("intent", INTENTS)):
            if unknown := sorted(set(columns.get(name, ())) - set(allowed)):
                raise InputError(f"{file}: unknown {name} {unknown[0]!r}; allowed: {', '.join(allowed)}")
        return columns

    def read_same_rows(self, files: Sequence[Path]) -> list[Columns]:
        """One table per file, all of the same rows.

        Raises:
            InputError: as in `read`, or a property of a row differs from that in the first file.
        """
        tables = [self.read(file) for file in files]
        for file, table in zip(files[1:], tables[1:], strict=True):
            for name in self.columns:
                if not np.array_equal(table[name], tables[0][name]):
                    raise InputError(
                        f"{file}: column {name} differs from {files[0]}; run: dvc repro {self.stage}"
                    )
        return tables

    def of_seeds(self, seeds: Sequence[int], folder: Path | None = None) -> list[Path]:
        return [(folder or self.folder) / f"{paths.seed_name(seed)}.parquet" for seed in seeds]

    def _missing(self, names: Iterable[str]) -> list[str]:
        known = set(names)
        return [name for name in self.all_columns if name not in known]


def check_rows(file: Path, table: Columns, guard: Columns, columns: Sequence[str], remedy: str) -> None:
    """Another table's `row` counts the guard's rows, and these `columns` say the same of them.

    Raises:
        InputError: they do not; the message ends on the `remedy`, a command.
    """
    rows = table["row"]
    if len(rows) and rows.max() >= len(guard["row"]):
        raise InputError(
            f"{file}: row {rows.max()} is not among the guard's {len(guard['row'])}; run: {remedy}"
        )
    for column in columns:
        differ = table[column] != guard[column][rows]
        if differ.any():
            row = rows[np.argmax(differ)]
            raise InputError(f"{file}: {column} of row {row} differs from the guard's; run: {remedy}")


def branch_columns(
    intents: Sequence[str], fast: np.ndarray, deep: np.ndarray, router_score: np.ndarray
) -> Columns:
    """Columns of both branches' class probabilities, (N, 4) in the order of `intents`, and router scores."""
    columns = {
        f"{branch}_{intent}": probabilities[:, index]
        for branch, probabilities in zip(BRANCHES, (fast, deep), strict=True)
        for index, intent in enumerate(intents)
    }
    return {**columns, "router_score": router_score}


def intent_probabilities(table: Columns, model: str) -> np.ndarray:
    """(N, 4) probabilities of one of a table's models, such as a branch, in the order of `INTENTS`."""
    return np.stack([table[f"{model}_{intent}"] for intent in INTENTS], axis=-1)


GUARD = ScoreTable(
    "benchmark", paths.SCORES / "guard", ("row", *RECORD, "tokens", "found_family"), BRANCH_SCORES, "export"
)
ABLATION = ScoreTable(
    "ablate",
    paths.SCORES / "ablation",
    GUARD.columns,
    BRANCH_SCORES,
    "ablate",
    ("fp32_intent", "int8_intent"),  # of each row, before and after weights are rounded
)
EVASION = ScoreTable(
    "evasion", paths.SCORES / "evasion", ("row", "label"), BRANCH_SCORES, "evasion", ("when",)
)
LEAVE_ONE_OUT = ScoreTable(
    "leave_one_out",
    paths.SCORES / "leave_one_out",
    ("row", "split", "label", "family", "transform", "parent_id"),
    tuple(f"threat_{reading}" for reading in READINGS),
    "leave_one_out",
)
PEERS = ScoreTable(  # a file without rows is of a guard that could not be installed where that was allowed
    "peers", paths.SCORES / "peers", ("row", *RECORD), ("score",), "peers", ("blocked",)
)


BASELINE_ROWS = ("row", "split", "intent", "parent_id")


def baselines_table(names: Sequence[str]) -> ScoreTable:
    """One file per seed, of all of these baselines; the guard's tables say more of the rows."""
    return ScoreTable(
        "baselines",
        paths.SCORES / "baselines",
        BASELINE_ROWS,
        tuple(f"{name}_{intent}" for name in names for intent in INTENTS),
        "baselines",
    )


def baseline_columns(name: str, probabilities: np.ndarray) -> Columns:
    """Columns of one baseline's probabilities, (N, 4) in the order of `INTENTS`."""
    return {
        f"{name}_{intent}": probabilities[:, index].astype(np.float32) for index, intent in enumerate(INTENTS)
    }
