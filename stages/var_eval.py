"""Measure VAR against the stock model: `python stages/var_eval.py --seed 0`."""

from var_moe.environment import apply_process_settings, recorded_settings

apply_process_settings()

import argparse  # noqa: E402

import torch  # noqa: E402
from tokenizers import Tokenizer  # noqa: E402

from tinyguardrail.files import write_json  # noqa: E402
from tinyguardrail.params import load_params  # noqa: E402
from tinyguardrail.paths import LATENCY, MOE, RAW, SCORES, VAR, seed_name  # noqa: E402
from var_moe.config import get_config  # noqa: E402
from var_moe.corpus import read_splits  # noqa: E402
from var_moe.evaluation import load_reference, throughput  # noqa: E402
from var_moe.report import compare_quality, latency_record, write_scores  # noqa: E402
from var_moe.statistics import collect_statistics  # noqa: E402
from var_moe.table import build_table  # noqa: E402
from var_moe.training import set_deterministic  # noqa: E402
from var_moe.wrapper import VARMixtralWrapper  # noqa: E402


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, required=True)
    seed = parser.parse_args().seed
    params = load_params()
    settings = params.var.eval
    set_deterministic(seed, params.compute.threads)
    name = seed_name(seed)
    model = load_reference(MOE / name)
    tokenizer = Tokenizer.from_file(str(MOE / name / "tokenizer.json"))
    seen, held_out, test = read_splits(params.var, tokenizer, RAW)

    statistics = collect_statistics(model, seen, settings.batch_size)
    table = build_table(statistics, get_config(params.var.preset), held_out)
    wrapper = VARMixtralWrapper(model, table)
    result, scores = compare_quality(wrapper, test, settings.batch_size)
    write_scores(SCORES / "var" / f"{name}.parquet", scores)
    write_json(VAR / f"{name}.json", {"corpus": params.var.corpus, "preset": params.var.preset, "seed": seed} | result)

    timings = throughput(wrapper, test[: settings.batch_size], settings.repeats)
    write_json(
        LATENCY / f"var_{name}.json",
        latency_record(timings, params.compute.threads, test[: settings.batch_size], recorded_settings()),
    )
    print(f"seed {seed}: perplexity {result['perplexity_change']:+.2%}, {timings['speedup_vs_best_stock']:.2f}x")


if __name__ == "__main__":
    main()
