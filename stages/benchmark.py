"""Score validation, test and dev texts with both branches of one seed's INT8 guard."""

import numpy as np

from tinyguardrail.data.records import read_records
from tinyguardrail.runtime.guard import BranchScores, Guard
from tinyguardrail_common.progress import progress
from tinyguardrail_paper.scores.score_table import GUARD, branch_columns
from tinyguardrail_paper.settings.params import Params
from tinyguardrail_paper.settings.paths import ONNX, SPLITS, seed_name
from tinyguardrail_paper.settings.stage import SEED, run_stage

SCORED = ("validation", "test", "dev")
CHUNK = 512  # texts whose windows are sorted by length together


def main(params: Params, seed: int) -> None:
    guard = Guard.load(ONNX / seed_name(seed), "int8", params.compute.threads)
    # dev last: other stages number validation and test rows as they stand here
    rows = [row for split in SCORED for row in read_records(SPLITS / f"{split}.parquet")]
    texts = [row.text for row in rows]
    chunks = [texts[start : start + CHUNK] for start in range(0, len(texts), CHUNK)]
    scored = [
        guard.score_branches(chunk, params.benchmark.batch_size)
        for chunk in progress(chunks, "both branches")
    ]
    scores = BranchScores(*(np.concatenate(field) for field in zip(*scored, strict=True)))
    branches = (scores.fast, scores.deep, scores.router_score)
    columns = GUARD.row_columns(dict(enumerate(rows)))
    columns |= branch_columns(guard.intents, *(each.astype(np.float32) for each in branches))
    columns |= {"tokens": scores.tokens, "found_family": scores.family}
    GUARD.write(GUARD.folder / f"{seed_name(seed)}.parquet", columns)


if __name__ == "__main__":
    run_stage(main, __doc__, seed=SEED)
