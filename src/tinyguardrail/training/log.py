"""The training log: a CSV among the results and, where asked for, a tracker to watch it by."""

import csv
import importlib
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tinyguardrail_common.errors import UserError

COLUMNS = (
    "step", "epoch", "loss", "loss_fast", "loss_deep", "loss_router", "loss_ratio", "loss_balance",
    "loss_energy", "loss_adversarial", "learning_rate", "validation_deep_share", "validation_router_mean",
    "validation_router_std", "validation_macro_f1", "validation_macro_f1_fast", "validation_macro_f1_deep",
)  # fmt: skip
DIGITS = 6


class TrackerError(UserError):
    """A tracker that was asked for and cannot be had."""


class Log:
    """Rows of the CSV; each is also sent to the trackers in `report_to`.

    Args:
        rows: of the part that an earlier process ran.
        report_to: any of tensorboard and wandb.
        folder: where TensorBoard's files go.
        run: name of the run.

    Raises:
        TrackerError: the tracker's package is not installed.
    """

    def __init__(self, rows: list[dict[str, Any]], report_to: Sequence[str], folder: Path, run: str):
        self.rows = rows
        self._trackers = [TRACKERS[name](folder, run) for name in report_to]

    def write(self, step: int, values: dict[str, Any]) -> None:
        row = {name: round(value, DIGITS) for name, value in values.items()}
        row |= {"learning_rate": round(values["learning_rate"], 9)}
        self.rows.append({"step": step, **row})
        for track in self._trackers:
            track(step, row)

    def as_csv(self) -> str:
        buffer = io.StringIO()
        writer = csv.DictWriter(buffer, COLUMNS, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.rows)
        return buffer.getvalue()


def _package(module: str, package: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise TrackerError(
            f"train.report_to names {package}, which is not installed: pip install {package}, "
            "or take it out of train.report_to"
        ) from error


def _tensorboard(folder: Path, run: str):
    writer = _package("torch.utils.tensorboard", "tensorboard").SummaryWriter(folder / run)

    def track(step: int, values: dict[str, float]) -> None:
        for name, value in values.items():
            writer.add_scalar(name, value, step)
        writer.flush()

    return track


def _wandb(folder: Path, run: str):
    found = _package("wandb", "wandb")
    folder.mkdir(parents=True, exist_ok=True)
    session = found.init(project="tinyguardrail", name=run, dir=folder, resume="allow", id=run)
    return lambda step, values: session.log(values, step=step)


TRACKERS = {"tensorboard": _tensorboard, "wandb": _wandb}
