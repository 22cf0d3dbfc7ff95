"""Guards that differ from a reference in one part of training: how each is trained and scored."""

import numpy as np
import torch
from scipy.special import expit, softmax

from tinyguardrail.data.records import Record
from tinyguardrail.model.build import feature_extractor
from tinyguardrail.model.modeling import GuardForSequenceClassification
from tinyguardrail.quantization.quantize import block_columns
from tinyguardrail.training.distributed import Workers
from tinyguardrail.training.examples import LabelledTexts
from tinyguardrail.training.losses import MIDPOINT
from tinyguardrail.training.params import Train
from tinyguardrail.training.quantization_aware import fake_quantize
from tinyguardrail.training.validation import predict
from tinyguardrail_common.errors import UserError
from tinyguardrail_paper.experiments.fine_tuning import fine_tune, resume_state
from tinyguardrail_paper.scores.score_table import ABLATION, branch_columns
from tinyguardrail_paper.settings.params import Ablate, Params
from tinyguardrail_paper.settings.paths import seed_name


def arm_training(train: Train, arm: str, settings: Ablate) -> Train:
    """How an arm is trained: one epoch over `settings.rows` rows, attacked or rounded only by its own arm.

    Raises:
        UserError: the arm would be the reference, because its setting has that value anyway.
    """
    shared = {
        "epochs": 1,
        "rows_per_epoch": settings.rows,
        "validation_rows": settings.validation_rows,
        "adversarial_epoch": None,
        "quantization_aware_epoch": None,
        "report_to": [],
    }
    reference = train.model_copy(update=shared)
    own = reference.model_copy(update=settings.arms[arm])
    if arm != settings.reference and own == reference:
        changed = " and ".join(f"train.{key} is {value}" for key, value in settings.arms[arm].items())
        raise UserError(f"{changed} already: the arm {arm!r} would be the reference")
    return own


def train_and_score(
    params: Params, rows: dict[str, list[Record]], scored: list[Record], seed: int, arm: str, team: Workers
) -> dict[str, object]:
    """One window of each row, as in training, by both branches, and its intent once the weights are INT8."""
    params = params.model_copy(update={"train": arm_training(params.train, arm, params.ablate)})
    checkpoint = resume_state(f"ablate-{arm}-{seed_name(seed)}", params, seed, arm=arm)
    guard, tokenizer, _ = fine_tune(params, rows, seed, team, checkpoint)
    extractor = feature_extractor(tokenizer, guard.config, params.train.window_tokens)
    texts = LabelledTexts.of(scored, guard.config.label2id)
    examples = texts.examples(extractor, range(len(scored)), [seed])
    plain = torch.autocast(team.device.type, enabled=False)
    fast, deep, router = predict(guard, extractor, examples, params.train.batch_size, plain)
    columns = ABLATION.row_columns(dict(enumerate(scored)))
    columns |= {"tokens": examples.lengths, "found_family": [""] * len(scored)}
    names = [guard.config.id2label[index] for index in range(guard.config.num_labels)]
    branches = (softmax(fast, axis=-1), softmax(deep, axis=-1), expit(router))
    columns |= branch_columns(names, *(each.astype(np.float32) for each in branches))
    columns["fp32_intent"] = intents(guard, fast, deep, router)
    round_weights(guard, params.quantize.block_size)
    rounded = predict(guard, extractor, examples, params.train.batch_size, plain)
    columns["int8_intent"] = intents(guard, *rounded)
    checkpoint.remove()
    return columns


def intents(
    guard: GuardForSequenceClassification, fast: np.ndarray, deep: np.ndarray, router: np.ndarray
) -> list[str]:
    """By the branch that the router chooses: (N, L), (N, L), (N,) -> N intents."""
    routed = np.where((expit(router) >= MIDPOINT)[:, None], deep, fast)
    return [guard.config.id2label[index] for index in routed.argmax(-1)]


@torch.no_grad()
def round_weights(guard: GuardForSequenceClassification, block_size: int) -> None:
    """Put every weight that the `quantize` stage rounds on its INT8 level."""
    for name, parameter in guard.named_parameters():
        columns = block_columns(name, parameter.shape, block_size)
        if columns is not None:
            parameter.copy_(fake_quantize(parameter, columns))
