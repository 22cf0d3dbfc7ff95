"""Reading what earlier stages wrote, with one-line errors that name the file and the stage.

Files are listed by iterating the seeds in `params.yaml`, never by a glob: a file left over from a seed
that is no longer asked for must not enter an average.
"""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tinyguardrail_common.errors import UserError
from tinyguardrail_common.files import read_json
from tinyguardrail_paper.settings import paths


class InputError(UserError):
    """An input that is missing or cannot be right; the message is one line."""


def require(path: Path, stage: str) -> Path:
    """Return `path`, or raise an `InputError` that says which stage writes it."""
    if not path.is_file():
        raise InputError(f"{path} is missing; run: dvc repro {stage}")
    return path


def read_seeds_json(folder: Path, seeds: Sequence[int], stage: str) -> list[dict[str, Any]]:
    """One JSON object per seed from `folder/seed{N}.json`, in the order of `seeds`."""
    return [read_json(require(folder / f"{paths.seed_name(seed)}.json", stage)) for seed in seeds]


def read_timings(prefix: str, seeds: Sequence[int]) -> list[dict[str, Any]] | None:
    """Timing files `results/latency/{prefix}_seed{N}.json`, or None unless every seed has one.

    Timings differ from run to run, so they are no outs of DVC and a checkout restored from
    its cache may lack them. An average over fewer seeds than asked for is never made.
    """
    files = [paths.LATENCY / f"{prefix}_{paths.seed_name(seed)}.json" for seed in seeds]
    return [read_json(file) for file in files] if all(file.is_file() for file in files) else None


def read_training(seeds: Sequence[int]) -> list[dict[str, list[float | None]]]:
    """The training log of each seed as columns; an empty cell is None."""
    logs = []
    for seed in seeds:
        path = require(paths.TRAINING / f"{paths.seed_name(seed)}.csv", "train")
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        if not rows:
            raise InputError(f"{path} has no rows; run: dvc repro --force train")
        logs.append({name: [_number(row[name]) for row in rows] for name in rows[0]})
    return logs


def read_data_card() -> dict[str, Any]:
    return read_json(require(paths.DATA_CARD, "synthesize"))


def _number(cell: str | None) -> float | None:
    return float(cell) if cell else None
