"""Train one seed's baselines on the rows that the guard draws, and score validation and test rows."""

from tinyguardrail_common.compute import prepare_process, repeatable

if __name__ == "__main__":
    prepare_process()  # before torch is loaded

from tinyguardrail.data.records import read_records
from tinyguardrail.normalization.language_model import CharacterLanguageModel
from tinyguardrail.normalization.normalizer import Normalizer
from tinyguardrail_common.files import write_json
from tinyguardrail_paper.experiments.baselines.measure import measure, resume_state
from tinyguardrail_paper.scores.score_table import baselines_table
from tinyguardrail_paper.settings.params import Params
from tinyguardrail_paper.settings.paths import BASELINES, CHARACTER_LM, SPLITS, seed_name
from tinyguardrail_paper.settings.stage import SEED, run_stage


def main(params: Params, seed: int) -> None:
    repeatable(params.compute.threads)
    rows = {split: read_records(SPLITS / f"{split}.parquet") for split in ("train", "validation", "test")}
    normalizer = Normalizer(CharacterLanguageModel.load(CHARACTER_LM))
    checkpoint = resume_state(params, seed)
    columns, parameters = measure(params, rows, normalizer, seed, checkpoint)
    table = baselines_table(params.baselines.names)
    table.write(table.folder / f"{seed_name(seed)}.parquet", columns)
    write_json(BASELINES / f"{seed_name(seed)}.json", {"parameters": parameters})
    checkpoint.remove()
    print(f"baselines of seed {seed}: {len(columns['row'])} rows scored")


if __name__ == "__main__":
    run_stage(main, __doc__, seed=SEED)
