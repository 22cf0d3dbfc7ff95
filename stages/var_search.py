"""Search VAR's settings on validation text, and report the Pareto front on test text once."""

from tinyguardrail_common.compute import prepare_process, repeatable

if __name__ == "__main__":
    prepare_process()  # before torch is loaded

from tinyguardrail_common.files import write_json
from tinyguardrail_paper.settings.params import Params
from tinyguardrail_paper.settings.paths import MOE, RAW, VAR_SEARCH, seed_name
from tinyguardrail_paper.settings.stage import run_stage
from var_moe.evaluation.quality import build_wrappers, evaluate_presets
from var_moe.evaluation.report import preset_record
from var_moe.evaluation.search import Objective, pareto_front, search
from var_moe.evaluation.text import evaluation_text
from var_moe.mixture.loading import load_tokenizer
from var_moe.reference.model import load_model
from var_moe.routing.statistics import collect_statistics


def main(params: Params) -> None:
    var = params.var
    settings, wanted = var.eval, var.search
    repeatable(params.compute.threads)
    folder = MOE / seed_name(wanted.model_seed)
    model = load_model(folder)
    text = evaluation_text(var, RAW, load_tokenizer(folder))
    statistics = collect_statistics(model, text.statistics, settings.batch_size)

    objective = Objective(model, statistics, text.thresholds, text.search, settings)
    points = search(objective, wanted.trials, wanted.sampler_seed)
    front = [points[index] for index in pareto_front([(p.perplexity_change, p.cost) for p in points])]

    wrappers = build_wrappers(model, statistics, text.thresholds, [point.config for point in front])
    baseline, quality = evaluate_presets(wrappers, text.test, settings, skip=False)
    reported = [
        point.as_json() | {"test": preset_record(baseline, quality[point.config.preset])} for point in front
    ]
    identity = {"corpus": var.corpus, "seed": wanted.model_seed}
    write_json(VAR_SEARCH, identity | {"trials": [point.as_json() for point in points], "front": reported})
    print(f"{len(points)} trials, {len(front)} of them on the front")


if __name__ == "__main__":
    run_stage(main, __doc__)
