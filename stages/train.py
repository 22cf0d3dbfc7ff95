"""Fine-tune the guard of one seed from pretrained weights."""

from tinyguardrail.compute import prepare_process, repeatable

if __name__ == "__main__":
    prepare_process()  # before torch is loaded

from tinyguardrail.data.records import read_records
from tinyguardrail.files import atomic_folder, write_text
from tinyguardrail.model.build import save_guard
from tinyguardrail.params import Params
from tinyguardrail.paths import GUARD, SPLITS, TRAINING, seed_name
from tinyguardrail.stage import run_seed_stage
from tinyguardrail.training.distributed import workers
from tinyguardrail.training.fine_tuning import fine_tune, resume_state
from tinyguardrail.training.sampling import check_weights, stratum


def main(params: Params, seed: int) -> None:
    repeatable(params.compute.threads)
    rows = {split: read_records(SPLITS / f"{split}.parquet") for split in ("train", "validation")}
    check_weights([stratum(row) for row in rows["train"]], params.train.weights)
    checkpoint = resume_state(f"train-{seed_name(seed)}", params, seed)
    with workers() as team:
        guard, tokenizer, log = fine_tune(params, rows, seed, team, checkpoint)
        if not team.first:
            return
        with atomic_folder(GUARD / seed_name(seed)) as folder:
            save_guard(folder, guard, tokenizer)
        write_text(TRAINING / f"{seed_name(seed)}.csv", log)
        checkpoint.remove()


if __name__ == "__main__":
    run_seed_stage(main, __doc__)
