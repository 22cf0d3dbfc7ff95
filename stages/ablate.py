"""Train one seed's guard with one part of training changed, for each part, and score test rows."""

from tinyguardrail_common.compute import prepare_process, repeatable

if __name__ == "__main__":
    prepare_process()  # before torch is loaded

from tinyguardrail.data.records import read_records
from tinyguardrail.data.sampling import evenly_spaced_sample
from tinyguardrail.training.distributed import workers
from tinyguardrail_common.files import atomic_folder
from tinyguardrail_paper.experiments.ablation import train_and_score
from tinyguardrail_paper.scores.score_table import ABLATION
from tinyguardrail_paper.settings.params import Params
from tinyguardrail_paper.settings.paths import SPLITS, seed_name
from tinyguardrail_paper.settings.stage import SEED, run_stage


def main(params: Params, seed: int) -> None:
    settings = params.ablate
    repeatable(params.compute.threads)
    rows = {split: read_records(SPLITS / f"{split}.parquet") for split in ("train", "validation", "test")}
    scored = evenly_spaced_sample(rows["validation"], settings.validation_rows)
    scored += evenly_spaced_sample(rows["test"], settings.test_rows)
    tables = {}
    with workers() as team:
        for arm in settings.arms:
            tables[arm] = train_and_score(params, rows, scored, seed, arm, team)
            print(f"seed {seed}: {arm}")
        if not team.first:
            return
    with atomic_folder(ABLATION.folder / seed_name(seed)) as folder:
        for arm, table in tables.items():
            ABLATION.write(folder / f"{arm}.parquet", table)


if __name__ == "__main__":
    run_stage(main, __doc__, seed=SEED)
