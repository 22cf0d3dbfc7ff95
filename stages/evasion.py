"""Search for harmless text that takes attacks past the deep branch of one seed's INT8 guard."""

import numpy as np
import pyarrow as pa
from pyarrow import parquet

from tinyguardrail.data.records import read_records
from tinyguardrail.evaluation.evasion_affixes import AFFIXES
from tinyguardrail.evaluation.evasion_search import choose_texts, evade
from tinyguardrail.files import atomic_file, write_json
from tinyguardrail.inference.runtime import Guard
from tinyguardrail.params import Params
from tinyguardrail.paths import EVASION, ONNX, SCORES, SPLITS, seed_name
from tinyguardrail.stage import run_seed_stage


def main(params: Params, seed: int) -> None:
    guard = Guard.load(ONNX / seed_name(seed), "int8", params.compute.threads)
    # Rows are numbered as `benchmark` numbers them.
    rows = [row for split in ("validation", "test") for row in read_records(SPLITS / f"{split}.parquet")]
    chosen = choose_texts(rows, params.evasion.texts)
    affixes = AFFIXES[: params.evasion.candidates]
    counts, columns = evade(guard, [rows[row].text for row in chosen], affixes, params.benchmark.batch_size)
    columns["row"] = np.array(chosen)[columns.pop("text")].tolist()
    columns["label"] = [rows[row].label for row in columns["row"]]
    with atomic_file(SCORES / "evasion" / f"{seed_name(seed)}.parquet") as temporary:
        parquet.write_table(pa.table(columns), temporary, compression="zstd")
    report = {"seed": seed, "precision": "int8", "router_threshold": guard.router_threshold, **counts}
    write_json(EVASION / f"{seed_name(seed)}.json", report)
    print(f"{counts['evaded']} of {counts['attacked']} attacks taken to the fast branch")


if __name__ == "__main__":
    run_seed_stage(main, __doc__)
