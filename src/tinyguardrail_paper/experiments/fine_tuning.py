"""A guard fine-tuned on rows from its pretrained start: what every stage that trains one shares."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from tokenizers import Tokenizer

from tinyguardrail import model, training
from tinyguardrail.data.records import Record
from tinyguardrail.model.build import build_guard, feature_extractor
from tinyguardrail.model.modeling import GuardForSequenceClassification
from tinyguardrail.training.checkpoint import Checkpoint, fingerprint
from tinyguardrail.training.distributed import Workers
from tinyguardrail.training.examples import LabelledTexts
from tinyguardrail.training.trainer import Trainer
from tinyguardrail_paper.settings.params import Params
from tinyguardrail_paper.settings.paths import NUMERIC_LOCK, RESUME, SPLITS, TRACKERS


def fine_tune(
    params: Params, rows: Mapping[str, Sequence[Record]], seed: int, team: Workers, checkpoint: Checkpoint
) -> tuple[GuardForSequenceClassification, Tokenizer, str]:
    """Train as `params.model` and `params.train` say; returns the guard, its tokenizer and the log as CSV.

    Args:
        rows: those of the splits `train`, which choose the vocabulary too, and `validation`.
        checkpoint: of `resume_state`; the caller removes it once the result is kept.

    Raises:
        TrainingError, LabelError: as in `Trainer.fit` and `LabelledTexts.of`.
    """
    guard, tokenizer = build_guard(params.model, [row.text for row in rows["train"]], seed)
    torch.manual_seed(1000 * seed + team.rank)  # processes drop out units of their own
    extractor = feature_extractor(tokenizer, guard.config, params.train.window_tokens)
    train, validation = (
        LabelledTexts.of(rows[split], guard.config.label2id) for split in ("train", "validation")
    )
    block_size = params.quantize.block_size
    trainer = Trainer(guard, extractor, params.train, seed, checkpoint, team, TRACKERS, block_size)
    return guard, tokenizer, trainer.fit(train, validation)


def resume_state(name: str, params: Params, seed: int, *modules: ModuleType, **choices: Any) -> Checkpoint:
    """Where a run is kept that was killed: a folder named by all that the trained weights depend on.

    That is settings, code, data and package versions.

    Args:
        modules: code that chooses the rows, beside the packages `model` and `training`.
        choices: settings of the caller's own, as JSON.
    """
    settings = {
        part: getattr(params, part).model_dump() for part in ("compute", "model", "train", "quantize")
    }
    code = [path for package in (model, training) for path in Path(package.__file__).parent.glob("*.py")]
    code += [Path(module.__file__) for module in modules]
    data = [SPLITS / "train.parquet", SPLITS / "validation.parquet"]
    found = fingerprint({"seed": seed, **settings, **choices}, [*code, *data, NUMERIC_LOCK])
    return Checkpoint(RESUME / f"{name}-{found}")
