"""Score validation and test texts with both branches of one seed's INT8 guard, and time it."""

import numpy as np
import pyarrow as pa
from pyarrow import parquet

from tinyguardrail.data.records import read_records
from tinyguardrail.evaluation.latency import hardware, measure_latency
from tinyguardrail.files import atomic_file, write_json
from tinyguardrail.inference.runtime import BranchScores, Guard
from tinyguardrail.params import Params
from tinyguardrail.paths import LATENCY, ONNX, SCORES, SPLITS, seed_name
from tinyguardrail.progress import progress
from tinyguardrail.spread import spread
from tinyguardrail.stage import run_seed_stage

KEPT = ("split", "label", "source", "family", "transform", "parent_id", "language")
CHUNK = 512  # texts whose windows are sorted by length together


def main(params: Params, seed: int) -> None:
    guard = Guard.load(ONNX / seed_name(seed), "int8", params.compute.threads)
    rows = [row for split in ("validation", "test") for row in read_records(SPLITS / f"{split}.parquet")]
    texts = [row.text for row in rows]
    columns: dict[str, object] = {"row": np.arange(len(rows))}
    columns |= {name: [getattr(row, name) for row in rows] for name in KEPT}
    chunks = [texts[start : start + CHUNK] for start in range(0, len(texts), CHUNK)]
    scored = [
        guard.score_branches(chunk, params.benchmark.batch_size)
        for chunk in progress(chunks, "both branches")
    ]
    scores = BranchScores(*(np.concatenate(field) for field in zip(*scored, strict=True)))
    for branch, probabilities in (("fast", scores.fast), ("deep", scores.deep)):
        for index, label in enumerate(guard.labels):
            columns[f"{branch}_{label}"] = probabilities[:, index].astype(np.float32)
    columns |= {"router_score": scores.router_score.astype(np.float32), "tokens": scores.tokens}
    columns["found_family"] = scores.family
    with atomic_file(SCORES / "guard" / f"{seed_name(seed)}.parquet") as temporary:
        parquet.write_table(pa.table(columns), temporary, compression="zstd")
    test = [index for index, row in enumerate(rows) if row.split == "test"]
    timed = spread(test, params.benchmark.latency_rows)
    arms = measure_latency(guard, [texts[index] for index in timed], params.benchmark.latency_warmup)
    timing = {
        "seed": seed,
        "precision": "int8",
        "threads": params.compute.threads,
        "rows": len(timed),
        "tokens_p50": float(np.median(scores.tokens[timed])),
        "hardware": hardware(),
        "arms": arms,
    }
    write_json(LATENCY / f"guard_{seed_name(seed)}.json", timing)
    print(f"P95 {arms['routed']['p95_ms']} ms over {len(timed)} texts")


if __name__ == "__main__":
    run_seed_stage(main, __doc__)
