"""Build one seed's routing table and measure VAR against the stock model on the test split."""

from tinyguardrail.compute import prepare_process, repeatable

if __name__ == "__main__":
    prepare_process()  # before torch is loaded: without it the stock kernel alone slows down

from tokenizers import Tokenizer

from tinyguardrail.files import write_json
from tinyguardrail.params import Params
from tinyguardrail.paths import LATENCY, MOE, RAW, SCORES, VAR, seed_name
from tinyguardrail.stage import run_seed_stage
from var_moe.config import get_config
from var_moe.corpus import evaluation_sequences, read_documents, split_documents
from var_moe.evaluation import throughput
from var_moe.reference import load_model
from var_moe.report import compare_quality, latency_record, write_scores
from var_moe.statistics import collect_statistics
from var_moe.table import build_table
from var_moe.wrapper import VARMixtralWrapper


def main(params: Params, seed: int) -> None:
    settings, train, name = params.var.eval, params.var.train, seed_name(seed)
    repeatable(params.compute.threads)
    model = load_model(MOE / name)
    seen, held_out, test = evaluation_sequences(
        split_documents(
            read_documents(params.var.corpus, RAW), train.validation_fraction, train.test_fraction
        ),
        Tokenizer.from_file(str(MOE / name / "tokenizer.json")),
        length=train.sequence_length,
        seen=settings.statistics_sequences,
        held_out=settings.threshold_sequences,
        test=settings.test_sequences,
    )

    statistics = collect_statistics(model, seen, settings.batch_size)
    table = build_table(statistics, get_config(params.var.preset), held_out)
    wrapper = VARMixtralWrapper(model, table)
    result, scores = compare_quality(wrapper, test, settings.batch_size)
    write_scores(SCORES / "var" / f"{name}.parquet", scores)
    identity = {"corpus": params.var.corpus, "preset": params.var.preset, "seed": seed}
    write_json(VAR / f"{name}.json", identity | result)

    batch = test[: settings.batch_size]
    timings = throughput(wrapper, batch, settings.repeats)
    write_json(LATENCY / f"var_{name}.json", latency_record(timings, params.compute.threads, batch))
    print(
        f"seed {seed}: perplexity {result['perplexity_change']:+.2%}, speed-up over the best stock "
        f"kernel {timings['speedup_vs_best_stock']:.2f}x"
    )


if __name__ == "__main__":
    run_seed_stage(main, __doc__)
