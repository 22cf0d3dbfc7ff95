"""Round the weights of one seed's guard to INT8."""

from safetensors.numpy import load_file, save_file

from tinyguardrail.quantization.quantize import quantize_weights, size_table
from tinyguardrail_common.files import atomic_folder, write_json
from tinyguardrail_paper.settings.params import Params
from tinyguardrail_paper.settings.paths import GUARD, QUANTIZED, seed_name
from tinyguardrail_paper.settings.stage import SEED, run_stage


def main(params: Params, seed: int) -> None:
    weights = load_file(GUARD / seed_name(seed) / "model.safetensors")
    quantized = quantize_weights(weights, params.quantize.block_size)
    sizes = size_table(weights, quantized)
    with atomic_folder(QUANTIZED / seed_name(seed)) as folder:
        save_file(quantized, folder / "int8.safetensors")
        write_json(folder / "size.json", sizes)
    print(f"{sizes['parameters']} parameters: {sizes['fp32_mb']:.1f} MB -> {sizes['int8_mb']:.1f} MB")


if __name__ == "__main__":
    run_stage(main, __doc__, seed=SEED)
