"""Train a guard without one family of attacks and score the family's test rows with it."""

from tinyguardrail_common.compute import prepare_process, repeatable

if __name__ == "__main__":
    prepare_process()  # before torch is loaded

from tinyguardrail.attacks.registry import FAMILIES
from tinyguardrail.data.records import read_records
from tinyguardrail.normalization.language_model import CharacterLanguageModel
from tinyguardrail.normalization.normalizer import Normalizer
from tinyguardrail.training.distributed import workers
from tinyguardrail_paper.experiments.held_out_family import hold_out
from tinyguardrail_paper.settings.params import REFERENCE, Params
from tinyguardrail_paper.settings.paths import CHARACTER_LM, SPLITS
from tinyguardrail_paper.settings.stage import run_stage


def main(params: Params, family: str) -> None:
    repeatable(params.compute.threads)
    rows = {split: read_records(SPLITS / f"{split}.parquet") for split in ("train", "validation", "test")}
    normalizer = Normalizer(CharacterLanguageModel.load(CHARACTER_LM))
    with workers() as team:
        hold_out(params, rows, family, normalizer, team)


if __name__ == "__main__":
    run_stage(main, __doc__, family={"choices": (REFERENCE, *FAMILIES), "required": True})
