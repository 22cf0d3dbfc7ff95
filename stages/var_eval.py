"""Build one seed's routing tables and measure VAR against the stock model on the test split."""

from tinyguardrail.compute import prepare_process, repeatable

if __name__ == "__main__":
    prepare_process()  # before torch is loaded: without it the stock kernel alone slows down

from tokenizers import Tokenizer

from tinyguardrail.files import write_json
from tinyguardrail.params import Params
from tinyguardrail.paths import LATENCY, MOE, RAW, SCORES, VAR, seed_name
from tinyguardrail.stage import run_seed_stage
from var_moe.assurance import audit_record, tracking_overhead
from var_moe.config import get_config
from var_moe.evaluation import PRESETS, build_wrappers, evaluate_presets
from var_moe.evaluation_text import evaluation_text
from var_moe.reference import load_model
from var_moe.report import latency_report, quality_report, scores_table, write_scores
from var_moe.second_weight import second_weights
from var_moe.statistics import collect_statistics
from var_moe.timing import time_phase_one, time_workload
from var_moe.workloads import build_workloads, largest_prefill


def main(params: Params, seed: int) -> None:
    var, name = params.var, seed_name(seed)
    settings, preset = var.eval, var.preset
    repeatable(params.compute.threads)
    model = load_model(MOE / name)
    text = evaluation_text(var, RAW, Tokenizer.from_file(str(MOE / name / "tokenizer.json")))

    second = second_weights(model, text.thresholds, settings.batch_size)
    statistics = collect_statistics(model, text.statistics, settings.batch_size)
    configs = [get_config(each) for each in PRESETS]
    wrappers = build_wrappers(model, statistics, text.thresholds, configs)
    baseline, presets = evaluate_presets(wrappers, text.test, settings)
    write_scores(SCORES / "var" / f"{name}.parquet", scores_table(baseline, presets))
    report = quality_report(baseline, presets, preset, second)
    report["audit"] = audit_record(model, wrappers[preset].table, text.test, settings)
    write_json(VAR / f"{name}.json", {"corpus": var.corpus, "preset": preset, "seed": seed} | report)

    workloads = build_workloads(settings, text.test.ids, var.train.sequence_length)
    headline = largest_prefill(workloads)
    others = {f"var_{each}": wrappers[each] for each in PRESETS if each != preset}
    timings = {
        each.name: time_workload(
            wrappers[preset], each, settings.repeats, others=others if each is headline else None
        )
        for each in workloads
    }
    collected = text.statistics[: settings.phase_one_sequences]
    phase_one = time_phase_one(model, collected, settings.batch_size)
    overhead = tracking_overhead(model, wrappers[preset].table, headline, settings.repeats)
    record = latency_report(timings, headline.name, preset)
    record |= {"phase_one": phase_one, "tracking_overhead": overhead}
    write_json(LATENCY / f"var_{name}.json", record)
    speedup = timings[headline.name]["speedups"]["var"]["vs_best_stock"]["median"]
    print(f"seed {seed}: perplexity {report['perplexity_change']:+.2%}, {speedup:.2f}x the best stock kernel")


if __name__ == "__main__":
    run_seed_stage(main, __doc__)
