"""Fit the character language model that tells an obfuscation from what it hides."""

from tinyguardrail.data.records import NO_TRANSFORM, iter_records
from tinyguardrail.normalization.language_model import CharacterLanguageModel
from tinyguardrail_paper.settings.params import Params
from tinyguardrail_paper.settings.paths import CHARACTER_LM, SPLITS
from tinyguardrail_paper.settings.stage import run_stage


def main(params: Params) -> None:
    rows = iter_records(SPLITS / "train.parquet")
    model = CharacterLanguageModel.fit(row.text for row in rows if row.transform == NO_TRANSFORM)
    model.save(CHARACTER_LM)
    print(f"{CHARACTER_LM}: {CHARACTER_LM.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    run_stage(main, __doc__)
