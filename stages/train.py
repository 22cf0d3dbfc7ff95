"""Fine-tune the guard of one seed from pretrained weights."""

from pathlib import Path

from tinyguardrail.compute import prepare_process, repeatable

if __name__ == "__main__":
    prepare_process()  # before torch is loaded

import torch

from tinyguardrail import model, training
from tinyguardrail.data.records import read_records
from tinyguardrail.files import atomic_folder, write_text
from tinyguardrail.model.build import build_guard, feature_extractor, save_guard
from tinyguardrail.params import Params
from tinyguardrail.paths import GUARD, NUMERIC_LOCK, RESUME, SPLITS, TRACKERS, TRAINING, seed_name
from tinyguardrail.stage import run_seed_stage
from tinyguardrail.training.checkpoint import Checkpoint, fingerprint
from tinyguardrail.training.distributed import Workers, workers
from tinyguardrail.training.examples import LabelledTexts
from tinyguardrail.training.trainer import Trainer


def main(params: Params, seed: int) -> None:
    repeatable(params.compute.threads)
    with workers() as team:
        train(params, seed, team)


def train(params: Params, seed: int, team: Workers) -> None:
    rows = {split: read_records(SPLITS / f"{split}.parquet") for split in ("train", "validation")}
    guard, tokenizer = build_guard(params.model, [row.text for row in rows["train"]], seed)
    torch.manual_seed(1000 * seed + team.rank)  # processes drop out units of their own
    extractor = feature_extractor(tokenizer, guard.config, params.train.window_tokens)
    texts = {split: LabelledTexts.of(found, guard.config.label2id) for split, found in rows.items()}
    checkpoint = Checkpoint(RESUME / f"train-{seed_name(seed)}-{_fingerprint(params, seed)}")
    log = Trainer(guard, extractor, params.train, seed, checkpoint, team, TRACKERS).fit(**texts)
    if not team.first:
        return
    with atomic_folder(GUARD / seed_name(seed)) as folder:
        save_guard(folder, guard, tokenizer)
    write_text(TRAINING / f"{seed_name(seed)}.csv", log)
    checkpoint.remove()


def _fingerprint(params: Params, seed: int) -> str:
    """Of all that the trained weights depend on: settings, code, data, package versions."""
    settings = {name: getattr(params, name).model_dump() for name in ("compute", "model", "train")}
    code = [path for package in (model, training) for path in Path(package.__file__).parent.glob("*.py")]
    data = [SPLITS / "train.parquet", SPLITS / "validation.parquet"]
    return fingerprint({"seed": seed, **settings}, [*code, *data, NUMERIC_LOCK])


if __name__ == "__main__":
    run_seed_stage(main, __doc__)
