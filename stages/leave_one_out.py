"""Train a guard without one family of disguises and score the family's test rows with it."""

from tinyguardrail.compute import prepare_process, repeatable

if __name__ == "__main__":
    prepare_process()  # before torch is loaded

import pyarrow as pa
from pyarrow import parquet

from tinyguardrail.attacks.registry import FAMILIES
from tinyguardrail.data.records import SPLITS as SPLIT_NAMES
from tinyguardrail.data.records import read_records
from tinyguardrail.evaluation import left_out_rows
from tinyguardrail.evaluation.torch_scoring import threat_by_reading
from tinyguardrail.files import atomic_file
from tinyguardrail.inference.canonicalise import Canonicaliser
from tinyguardrail.inference.plausibility import Plausibility
from tinyguardrail.model.build import feature_extractor
from tinyguardrail.params import Params
from tinyguardrail.paths import LEFT_OUT, PLAUSIBILITY, SPLITS
from tinyguardrail.stage import run_family_stage
from tinyguardrail.training.distributed import Workers, workers
from tinyguardrail.training.fine_tuning import fine_tune, resume_state

KEPT = ("split", "label", "family", "transform", "parent_id")


def main(params: Params, family: str) -> None:
    repeatable(params.compute.threads)
    with workers() as team:
        leave_out(one_epoch(params), family, team)


def one_epoch(params: Params) -> Params:
    """The settings of training with its length those of `leave_one_out`."""
    settings = params.leave_one_out
    changes = {"epochs": 1, "rows_per_epoch": settings.rows, "validation_rows": settings.validation_rows}
    return params.model_copy(update={"train": params.train.model_copy(update=changes | {"report_to": []})})


def leave_out(params: Params, family: str, team: Workers) -> None:
    settings = params.leave_one_out
    rows = {split: read_records(SPLITS / f"{split}.parquet") for split in SPLIT_NAMES}
    chosen = left_out_rows.choose_rows(rows, family, settings)
    choices = {"family": family, "leave_one_out": settings.model_dump()}
    checkpoint = resume_state(f"without-{family}", params, settings.seed, left_out_rows, **choices)
    guard, tokenizer, _ = fine_tune(
        params, {"train": chosen.train, "validation": chosen.validation}, settings.seed, team, checkpoint
    )
    if not team.first:
        return
    scored = chosen.scored.values()
    columns = {"row": list(chosen.scored)} | {name: [getattr(row, name) for row in scored] for name in KEPT}
    columns |= threat_by_reading(
        guard,
        feature_extractor(tokenizer, guard.config),
        Canonicaliser(Plausibility.load(PLAUSIBILITY)),
        [row.text for row in scored],
        params.train.batch_size,
    )
    with atomic_file(LEFT_OUT / f"{family}.parquet") as temporary:
        parquet.write_table(pa.table(columns), temporary, compression="zstd")
    checkpoint.remove()
    print(f"without {family}: {len(scored)} rows scored")


if __name__ == "__main__":
    run_family_stage(main, (left_out_rows.REFERENCE, *FAMILIES), __doc__)
