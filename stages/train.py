"""Fine-tune the guard of one seed from pretrained weights."""

from pathlib import Path

from tinyguardrail.compute import prepare_process, repeatable

if __name__ == "__main__":
    prepare_process()  # before torch is loaded

from tinyguardrail import model, training
from tinyguardrail.data.records import read_records
from tinyguardrail.files import atomic_folder, write_text
from tinyguardrail.model.build import build_guard, feature_extractor, save_guard
from tinyguardrail.params import Params
from tinyguardrail.paths import GUARD, NUMERIC_LOCK, RESUME, SPLITS, TRAINING, seed_name
from tinyguardrail.stage import run_seed_stage
from tinyguardrail.training.checkpoint import Checkpoint, fingerprint
from tinyguardrail.training.trainer import Examples, Trainer


def main(params: Params, seed: int) -> None:
    repeatable(params.compute.threads)
    rows = {split: read_records(SPLITS / f"{split}.parquet") for split in ("train", "validation")}
    guard, tokenizer = build_guard(params.model, [row.text for row in rows["train"]], seed)
    extractor = feature_extractor(tokenizer, guard.config)
    examples = {
        split: Examples.of(
            extractor, [row.text for row in found], [guard.config.label2id[row.label] for row in found]
        )
        for split, found in rows.items()
    }
    checkpoint = Checkpoint(RESUME / f"train-{seed_name(seed)}-{_fingerprint(params, seed)}")
    log = Trainer(guard, extractor, params.train, seed, checkpoint).fit(**examples)
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
