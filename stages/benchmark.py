"""Score validation and test texts with both branches of one seed's INT8 guard, and time it."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from pyarrow import parquet

from tinyguardrail.data.records import Record, read_records
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
    time_guard(params, seed, [row for row in rows if row.split == "test"])


def time_guard(params: Params, seed: int, test: Sequence[Record]) -> None:
    """Write the latency of single test texts, evenly spread."""
    settings = params.benchmark
    guard = Guard.load(ONNX / seed_name(seed), "int8", settings.latency_threads)
    texts = [row.text for row in spread(test, settings.latency_rows)]
    arms = measure_latency(guard, texts, settings.latency_warmup)
    timing = {
        "seed": seed,
        "precision": "int8",
        "threads": settings.latency_threads,
        "rows": len(texts),
        "tokens_p50": float(np.median(guard.score_branches(texts, settings.batch_size).tokens)),
        "hardware": hardware(),
        "arms": arms,
    }
    write_json(LATENCY / f"guard_{seed_name(seed)}.json", timing)
    print(f"P95 {arms['routed']['p95_ms']} ms over {len(texts)} texts")


if __name__ == "__main__":
    run_seed_stage(main, __doc__)
