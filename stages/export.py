"""Write one seed's guard as ONNX graphs, compare them with torch, and INT8 with fp32."""

from tinyguardrail.data.records import read_records
from tinyguardrail.data.sampling import evenly_spaced_sample
from tinyguardrail.export.agreement import compare_precisions
from tinyguardrail.export.export import check_parity, set_router_scales, write_graphs
from tinyguardrail.model.build import load_guard
from tinyguardrail.runtime.guard import Guard
from tinyguardrail_common.compute import repeatable
from tinyguardrail_common.files import atomic_folder, write_json
from tinyguardrail_paper.settings.params import Params
from tinyguardrail_paper.settings.paths import CHARACTER_LM, EXPORT, GUARD, ONNX, QUANTIZED, SPLITS, seed_name
from tinyguardrail_paper.settings.stage import SEED, run_stage


def main(params: Params, seed: int) -> None:
    settings, threads = params.export, params.compute.threads
    repeatable(threads)
    guard, tokenizer = load_guard(GUARD / seed_name(seed))
    validation, test = (read_records(SPLITS / f"{split}.parquet") for split in ("validation", "test"))
    texts = [row.text for row in evenly_spaced_sample(validation, settings.parity_rows)]
    held_out = evenly_spaced_sample(validation, settings.agreement_rows)
    with atomic_folder(ONNX / seed_name(seed)) as folder:
        quantized = QUANTIZED / seed_name(seed) / "int8.safetensors"
        write_graphs(folder, guard, tokenizer, quantized, CHARACTER_LM, settings.opset)
        precisions = check_parity(folder, guard, tokenizer, texts, settings.parity_tolerance, threads)
        set_router_scales(
            folder,
            guard,
            quantized,
            settings.opset,
            [row.text for row in held_out],
            params.train.deep_share,
            threads,
        )
        fp32, int8 = (Guard.load(folder, precision, threads) for precision in ("fp32", "int8"))
        agreement = compare_precisions(
            fp32,
            int8,
            held_out,
            evenly_spaced_sample(test, settings.agreement_rows),
            settings.agreement_false_positive_rate,
        )
    report = {
        "parameters": sum(parameter.numel() for parameter in guard.parameters()),
        "precisions": precisions,
        "validation_rows": len(texts),
        "int8_against_fp32": agreement,
    }
    write_json(EXPORT / f"{seed_name(seed)}.json", report)
    print(report)


if __name__ == "__main__":
    run_stage(main, __doc__, seed=SEED)
