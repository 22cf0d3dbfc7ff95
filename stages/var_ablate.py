"""Train one seed's reference model by one recipe, and measure it with VAR off and on.

The recipe that the reference itself was trained by trains nothing: its model is there.
"""

from tinyguardrail.compute import prepare_process, repeatable

if __name__ == "__main__":
    prepare_process()  # before torch is loaded

import torch
from tokenizers import Tokenizer

from tinyguardrail.files import write_json
from tinyguardrail.params import Params
from tinyguardrail.paths import MOE, RAW, RECIPE_SCORES, VAR_ABLATE, seed_name
from tinyguardrail.stage import run_recipe_stage
from var_moe.config import get_config
from var_moe.corpus import END_OF_TEXT, pack, read_documents, split_documents
from var_moe.evaluation import build_wrappers, evaluate_presets
from var_moe.evaluation_text import evaluation_text
from var_moe.recipes import RECIPES
from var_moe.reference import build_model, load_model
from var_moe.report import quality_report, scores_table, write_scores
from var_moe.second_weight import second_weights
from var_moe.statistics import collect_statistics
from var_moe.training import train_model

PRESET = "balanced"  # whatever the headline preset: choosing that one must train nothing


def main(params: Params, seed: int, recipe: str) -> None:
    var, name = params.var, seed_name(seed)
    settings = var.eval
    train = var.train.model_copy(update={"recipe": recipe})
    repeatable(params.compute.threads)
    tokenizer = Tokenizer.from_file(str(MOE / name / "tokenizer.json"))
    text = evaluation_text(var, RAW, tokenizer)

    if train == var.train:
        model = load_model(MOE / name)
    else:
        splits = split_documents(
            read_documents(var.corpus, RAW), train.validation_fraction, train.test_fraction
        )
        sequences = pack(splits["train"], tokenizer, train.sequence_length, train.steps * train.batch_size)
        torch.manual_seed(seed)
        model = build_model(var.model, tokenizer.get_vocab_size(), tokenizer.token_to_id(END_OF_TEXT))
        train_model(model, sequences, train, seed)
        model.to(torch.bfloat16)  # what `load_model` gives

    second = second_weights(model, text.thresholds, settings.batch_size)
    statistics = collect_statistics(model, text.statistics, settings.batch_size)
    wrappers = build_wrappers(model, statistics, text.thresholds, [get_config(PRESET)])
    baseline, quality = evaluate_presets(wrappers, text.test, settings, skip=False)
    report = quality_report(baseline, quality, PRESET, second)
    write_scores(RECIPE_SCORES / name / f"{recipe}.parquet", scores_table(baseline, quality))
    write_json(
        VAR_ABLATE / name / f"{recipe}.json", {"recipe": recipe, "preset": PRESET, "seed": seed} | report
    )
    print(f"seed {seed}: {recipe}, VAR {report['perplexity_change']:+.2%}")


if __name__ == "__main__":
    run_recipe_stage(main, RECIPES, __doc__)
