"""Fine-tune the guard of one seed from pretrained weights."""

from tinyguardrail_common.compute import prepare_process, repeatable

if __name__ == "__main__":
    prepare_process()  # before torch is loaded

from tinyguardrail.data.records import read_records
from tinyguardrail.model.build import save_guard
from tinyguardrail.training.distributed import workers
from tinyguardrail.training.sampling import check_weights, stratum
from tinyguardrail_common.files import atomic_folder, write_text
from tinyguardrail_paper.experiments.fine_tuning import fine_tune, resume_state
from tinyguardrail_paper.settings.params import Params
from tinyguardrail_paper.settings.paths import GUARD, SPLITS, TRAINING, seed_name
from tinyguardrail_paper.settings.stage import SEED, run_stage


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
    run_stage(main, __doc__, seed=SEED)
