"""Search VAR's settings on validation text, and report the Pareto front on test text once."""

from tinyguardrail.compute import prepare_process, repeatable

if __name__ == "__main__":
    prepare_process()  # before torch is loaded

from tokenizers import Tokenizer

from tinyguardrail.files import write_json
from tinyguardrail.params import Params
from tinyguardrail.paths import LATENCY, MOE, RAW, VAR_SEARCH, seed_name
from tinyguardrail.stage import run_stage
from var_moe.evaluation import build_wrappers, evaluate_presets
from var_moe.evaluation_text import evaluation_text
from var_moe.reference import load_model
from var_moe.report import latency_report, preset_record
from var_moe.search import Objective, pareto_front, search
from var_moe.statistics import collect_statistics
from var_moe.timing import time_workload
from var_moe.workloads import build_workloads, largest_prefill


def main(params: Params) -> None:
    var = params.var
    settings, wanted = var.eval, var.search
    repeatable(params.compute.threads)
    folder = MOE / seed_name(wanted.model_seed)
    model = load_model(folder)
    text = evaluation_text(var, RAW, Tokenizer.from_file(str(folder / "tokenizer.json")))
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

    workload = largest_prefill(build_workloads(settings, text.test.ids, var.train.sequence_length))
    stock = next(iter(wrappers.values()))  # any of them gives the arms without a table
    timing = time_workload(stock, workload, wanted.repeats, others=wrappers)
    record = latency_report({workload.name: timing}, workload.name, stock.config.preset)
    write_json(LATENCY / "var_search.json", record)
    print(f"{len(points)} trials, {len(front)} of them on the front")


if __name__ == "__main__":
    run_stage(main)
