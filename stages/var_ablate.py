"""Train one seed's reference model by one recipe, and measure it with VAR off and on.

The recipe that the reference itself was trained by trains nothing: its model is there.
"""

from tinyguardrail_common.compute import prepare_process, repeatable

if __name__ == "__main__":
    prepare_process()  # before torch is loaded

import torch

from tinyguardrail_common.files import write_json
from tinyguardrail_paper.settings.params import Params
from tinyguardrail_paper.settings.paths import MOE, RAW, RECIPE_SCORES, VAR_ABLATE, seed_name
from tinyguardrail_paper.settings.stage import SEED, run_stage
from var_moe.evaluation.quality import build_wrappers, evaluate_presets, second_weights
from var_moe.evaluation.report import quality_report, write_scores
from var_moe.evaluation.text import evaluation_text
from var_moe.mixture.loading import load_tokenizer
from var_moe.reference.corpus import read_splits
from var_moe.reference.model import load_model
from var_moe.reference.recipes import RECIPES
from var_moe.reference.training import train_reference
from var_moe.routing.config import get_config
from var_moe.routing.statistics import collect_statistics

PRESET = "balanced"  # whatever the headline preset: choosing that one must train nothing


def main(params: Params, seed: int, recipe: str) -> None:
    var, folder = params.var, MOE / seed_name(seed)
    trained = var.model_copy(update={"train": var.train.model_copy(update={"recipe": recipe})})
    repeatable(params.compute.threads)
    tokenizer = load_tokenizer(folder)
    text = evaluation_text(var, RAW, tokenizer)
    if trained == var:
        model = load_model(folder)
    else:
        model, _ = train_reference(trained, read_splits(var, RAW)["train"], tokenizer, seed)
        model.to(torch.bfloat16)  # what `load_model` gives

    second = second_weights(model, text.thresholds, var.eval.batch_size)
    statistics = collect_statistics(model, text.statistics, var.eval.batch_size)
    wrappers = build_wrappers(model, statistics, text.thresholds, [get_config(PRESET)])
    baseline, quality = evaluate_presets(wrappers, text.test, var.eval, skip=False)
    report = quality_report(baseline, quality, PRESET, second)
    write_scores(RECIPE_SCORES / folder.name / f"{recipe}.parquet", baseline, quality)
    write_json(
        VAR_ABLATE / folder.name / f"{recipe}.json",
        {"recipe": recipe, "preset": PRESET, "seed": seed} | report,
    )
    print(f"seed {seed}: {recipe}, VAR {report['perplexity_change']:+.2%}")


if __name__ == "__main__":
    run_stage(main, __doc__, seed=SEED, recipe={"choices": RECIPES, "required": True})
