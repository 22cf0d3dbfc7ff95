"""Train one seed's guard with one part of training changed, for each part, and score test rows."""

from tinyguardrail.compute import prepare_process, repeatable

if __name__ == "__main__":
    prepare_process()  # before torch is loaded

import numpy as np
import pyarrow as pa
import torch
from pyarrow import parquet
from scipy.special import expit, softmax

from tinyguardrail.data.records import SPLITS as SPLIT_NAMES
from tinyguardrail.data.records import Record, read_records
from tinyguardrail.evaluation.ablation_arms import CHANGES, arm_training
from tinyguardrail.files import atomic_folder
from tinyguardrail.inference.quantize import block_columns
from tinyguardrail.model.build import feature_extractor
from tinyguardrail.model.modeling import GuardForSequenceClassification
from tinyguardrail.params import Params
from tinyguardrail.paths import ABLATION, SPLITS, seed_name
from tinyguardrail.spread import spread
from tinyguardrail.stage import run_seed_stage
from tinyguardrail.training.distributed import Workers, workers
from tinyguardrail.training.examples import LabelledTexts
from tinyguardrail.training.fine_tuning import fine_tune, resume_state
from tinyguardrail.training.losses import MIDPOINT
from tinyguardrail.training.quantization_aware import fake_quantize
from tinyguardrail.training.validation import predict

KEPT = ("split", "label", "source", "family", "transform", "parent_id", "language")


def main(params: Params, seed: int) -> None:
    repeatable(params.compute.threads)
    rows = {split: read_records(SPLITS / f"{split}.parquet") for split in SPLIT_NAMES}
    settings = params.ablate
    scored = spread(rows["validation"], settings.validation_rows) + spread(rows["test"], settings.test_rows)
    tables = {}
    with workers() as team:
        for arm in CHANGES:
            tables[arm] = train_and_score(params, rows, scored, seed, arm, team)
            print(f"seed {seed}: {arm}")
        if not team.first:
            return
    with atomic_folder(ABLATION / seed_name(seed)) as folder:
        for arm, table in tables.items():
            parquet.write_table(table, folder / f"{arm}.parquet", compression="zstd")


def train_and_score(
    params: Params, rows: dict[str, list[Record]], scored: list[Record], seed: int, arm: str, team: Workers
) -> pa.Table:
    """One window of each row, as in training, by both branches, and its label once the weights are INT8."""
    params = params.model_copy(update={"train": arm_training(params.train, arm, params.ablate)})
    checkpoint = resume_state(f"ablate-{arm}-{seed_name(seed)}", params, seed, arm=arm)
    guard, tokenizer, _ = fine_tune(params, rows, seed, team, checkpoint)
    extractor = feature_extractor(tokenizer, guard.config, params.train.window_tokens)
    texts = LabelledTexts.of(scored, guard.config.label2id)
    examples = texts.examples(extractor, range(len(scored)), [seed])
    plain = torch.autocast(team.device.type, enabled=False)
    fast, deep, router = predict(guard, extractor, examples, params.train.batch_size, plain)
    columns: dict[str, object] = {"row": np.arange(len(scored))}
    columns |= {name: [getattr(row, name) for row in scored] for name in KEPT}
    columns |= {"tokens": examples.lengths, "found_family": [""] * len(scored)}
    for branch, logits in (("fast", fast), ("deep", deep)):
        for label, index in guard.config.label2id.items():
            columns[f"{branch}_{label}"] = softmax(logits, axis=-1)[:, index].astype(np.float32)
    columns["router_score"] = expit(router).astype(np.float32)
    columns["fp32_label"] = labels(guard, fast, deep, router)
    round_weights(guard, params.quantize.block_size)
    rounded = predict(guard, extractor, examples, params.train.batch_size, plain)
    columns["int8_label"] = labels(guard, *rounded)
    checkpoint.remove()
    return pa.table(columns)


def labels(
    guard: GuardForSequenceClassification, fast: np.ndarray, deep: np.ndarray, router: np.ndarray
) -> list[str]:
    """By the branch that the router chooses: (N, L), (N, L), (N,) -> N labels."""
    routed = np.where((expit(router) >= MIDPOINT)[:, None], deep, fast)
    return [guard.config.id2label[index] for index in routed.argmax(-1)]


@torch.no_grad()
def round_weights(guard: GuardForSequenceClassification, block_size: int) -> None:
    """Put every weight that the `quantize` stage rounds on its INT8 level."""
    for name, parameter in guard.named_parameters():
        columns = block_columns(name, parameter.shape, block_size)
        if columns is not None:
            parameter.copy_(fake_quantize(parameter, columns))


if __name__ == "__main__":
    run_seed_stage(main, __doc__)
