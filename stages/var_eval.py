"""Build one seed's routing tables and measure VAR against the stock model on the test split."""

from tinyguardrail_common.compute import prepare_process, repeatable

if __name__ == "__main__":
    prepare_process()  # before torch is loaded

from tinyguardrail_common.files import write_json
from tinyguardrail_paper.settings.params import Params
from tinyguardrail_paper.settings.paths import MOE, RAW, SCORES, VAR, seed_name
from tinyguardrail_paper.settings.stage import SEED, run_stage
from var_moe.evaluation.audit import audit_record
from var_moe.evaluation.quality import build_wrappers, evaluate_presets, second_weights
from var_moe.evaluation.report import quality_report, write_scores
from var_moe.evaluation.text import evaluation_text
from var_moe.mixture.loading import load_tokenizer
from var_moe.reference.model import load_model
from var_moe.routing.config import PRESETS, get_config
from var_moe.routing.statistics import collect_statistics


def main(params: Params, seed: int) -> None:
    var, name = params.var, seed_name(seed)
    settings, preset = var.eval, var.preset
    repeatable(params.compute.threads)
    model = load_model(MOE / name)
    text = evaluation_text(var, RAW, load_tokenizer(MOE / name))

    second = second_weights(model, text.thresholds, settings.batch_size)
    statistics = collect_statistics(model, text.statistics, settings.batch_size)
    wrappers = build_wrappers(model, statistics, text.thresholds, map(get_config, PRESETS))
    baseline, presets = evaluate_presets(wrappers, text.test, settings)
    write_scores(SCORES / "var" / f"{name}.parquet", baseline, presets)
    report = quality_report(baseline, presets, preset, second)
    report["audit"] = audit_record(model, wrappers[preset].table, text.test, settings)
    write_json(VAR / f"{name}.json", {"corpus": var.corpus, "preset": preset, "seed": seed} | report)
    print(f"seed {seed}: perplexity {report['perplexity_change']:+.2%}")


if __name__ == "__main__":
    run_stage(main, __doc__, seed=SEED)
