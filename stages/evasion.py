"""Search for harmless text that takes attacks past the deep branch of one seed's INT8 guard."""

import numpy as np

from tinyguardrail.data.records import read_records
from tinyguardrail.runtime.guard import Guard
from tinyguardrail_common.files import write_json
from tinyguardrail_paper.experiments.evasion_search import AFFIXES, choose_texts, evade
from tinyguardrail_paper.scores.score_table import EVASION as TABLE
from tinyguardrail_paper.settings.params import Params
from tinyguardrail_paper.settings.paths import EVASION, ONNX, SPLITS, seed_name
from tinyguardrail_paper.settings.stage import SEED, run_stage


def main(params: Params, seed: int) -> None:
    guard = Guard.load(ONNX / seed_name(seed), "int8", params.compute.threads)
    # Rows are numbered as `benchmark` numbers them.
    rows = [row for split in ("validation", "test") for row in read_records(SPLITS / f"{split}.parquet")]
    chosen = choose_texts(rows, params.evasion.texts)
    affixes = AFFIXES[: params.evasion.candidates]
    counts, columns = evade(guard, [rows[row].text for row in chosen], affixes, params.benchmark.batch_size)
    columns["row"] = np.array(chosen)[columns.pop("text")].tolist()
    columns["label"] = [rows[row].label for row in columns["row"]]
    TABLE.write(TABLE.folder / f"{seed_name(seed)}.parquet", columns)
    report = {"seed": seed, "precision": "int8", "router_threshold": guard.router_threshold, **counts}
    write_json(EVASION / f"{seed_name(seed)}.json", report)
    print(f"{counts['evaded']} of {counts['attacked']} attacks taken to the fast branch")


if __name__ == "__main__":
    run_stage(main, __doc__, seed=SEED)
