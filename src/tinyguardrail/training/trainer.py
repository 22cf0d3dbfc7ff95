"""Training of the guard: one loop over batches, resumable at any step, the same to the bit."""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from tinyguardrail.errors import UserError
from tinyguardrail.model.features import FeatureExtractor, Window
from tinyguardrail.model.modeling import GuardForSequenceClassification, GuardOutput
from tinyguardrail.params import Train
from tinyguardrail.progress import progress
from tinyguardrail.training.batches import epoch_batches
from tinyguardrail.training.checkpoint import Checkpoint
from tinyguardrail.training.losses import MIDPOINT, balance_loss, focal_loss, ratio_loss, router_loss

LOG_COLUMNS = (
    "step", "epoch", "loss", "loss_fast", "loss_deep", "loss_router", "loss_ratio", "loss_balance",
    "learning_rate", "validation_deep_share", "validation_router_mean", "validation_router_std",
    "validation_macro_f1",
)  # fmt: skip
LOG_EVERY = 10
MIN_SPREAD = 1e-4  # of router logits; below it the router tells no text from another
PRETRAINED = (
    "embeddings.words",
    "embeddings.positions",
    "embeddings.norm",
    "trunk",
    "fast.layers",
    "deep.layers",
)
NEW = ("mixture.gate",)  # parts of pretrained layers that have no pretrained weights


class TrainingError(UserError):
    """Training that cannot go on."""


@dataclass
class Examples:
    """Texts ready for the model: the first window of each, and the label ids (N,)."""

    windows: list[Window]
    labels: np.ndarray

    @classmethod
    def of(cls, extractor: FeatureExtractor, texts: Sequence[str], labels: Sequence[int]) -> Examples:
        first: dict[int, Window] = {}
        for window in extractor.windows(texts):
            first.setdefault(window.text, window)
        return cls([first[index] for index in range(len(texts))], np.asarray(labels, dtype=np.int64))


class Trainer:
    """Trains a guard on examples and sets the router's scale on validation data.

    Args:
        model: started from pretrained weights; changed in place.
        extractor: pads windows into batches.
        settings: the `train` section of the parameters.
        seed: of the data order; torch's own generator is seeded by the caller.
        checkpoint: where an interrupted run is kept.
    """

    def __init__(
        self,
        model: GuardForSequenceClassification,
        extractor: FeatureExtractor,
        settings: Train,
        seed: int,
        checkpoint: Checkpoint,
    ):
        self.model = model
        self.extractor = extractor
        self.settings = settings
        self.seed = seed
        self.checkpoint = checkpoint
        self.optimizer = _optimizer(model, settings)
        self.log: list[dict[str, Any]] = []

    def fit(self, train: Examples, validation: Examples) -> str:
        """Train to the end, resuming where a killed run stopped; returns the log as CSV text.

        Raises:
            TrainingError: the loss is not finite; the step is named and the last good state stays.
        """
        lengths = [len(window.input_ids) for window in train.windows]
        per_epoch = len(epoch_batches(lengths, self.settings.batch_size, self.seed, 0))
        total = per_epoch * self.settings.epochs
        state = self.checkpoint.load(self.model, self.optimizer) or {"step": 0, "log": []}
        self.log, saved = state["log"], time.monotonic()
        for step in progress(range(state["step"], total), f"train seed {self.seed}"):
            epoch, position = divmod(step, per_epoch)
            rows = epoch_batches(lengths, self.settings.batch_size, self.seed, epoch)[position]
            ends_epoch = position == per_epoch - 1
            self._step(
                train, rows, step, total, {"epoch": epoch} if ends_epoch or step % LOG_EVERY == 0 else None
            )
            if ends_epoch:
                self._end_epoch(validation, last=step == total - 1)
            if time.monotonic() - saved >= self.settings.checkpoint_seconds and step + 1 < total:
                self.checkpoint.save(self.model, self.optimizer, {"step": step + 1, "log": self.log})
                saved = time.monotonic()
        return _as_csv(self.log)

    def _step(
        self, train: Examples, rows: np.ndarray, step: int, total: int, log: dict[str, Any] | None
    ) -> None:
        self.model.train()
        factor = _schedule(step, total, self.settings.warmup_fraction)
        for group in self.optimizer.param_groups:
            group["lr"] = group["base_lr"] * factor
        output = self._forward([train.windows[row] for row in rows])
        losses = self._losses(output, torch.from_numpy(train.labels[rows]))
        if not torch.isfinite(losses["loss"]):
            raise TrainingError(
                f"seed {self.seed}: the loss is {losses['loss'].item()} at step {step}; "
                "lower train.learning_rate or set train.precision to fp32"
            )
        losses["loss"].backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), self.settings.clip_norm)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        if log is not None:
            values = {name: round(value.item(), 6) for name, value in losses.items()}
            rate = round(self.settings.learning_rate * factor, 9)
            self.log.append({"step": step, **log, **values, "learning_rate": rate})

    def _forward(self, windows: Sequence[Window]) -> GuardOutput:
        batch = self.extractor.collate(windows)
        with torch.autocast("cpu", torch.bfloat16, enabled=self.settings.precision == "bf16"):
            return self.model(*(torch.from_numpy(array) for array in batch))

    def _losses(self, output: GuardOutput, labels: torch.Tensor) -> dict[str, torch.Tensor]:
        settings = self.settings
        fast, deep = (
            focal_loss(logits, labels, settings.focal_alpha, settings.focal_gamma)
            for logits in (output.fast_logits, output.deep_logits)
        )
        router_logits = output.router_logits.float()
        parts = {
            "loss_fast": fast.mean(),
            "loss_deep": deep.mean(),
            "loss_router": router_loss(router_logits, fast, deep, settings.deep_share),
            "loss_ratio": ratio_loss(router_logits, settings.deep_share),
            "loss_balance": balance_loss(output.gate_probabilities, output.chosen_experts),
        }
        total = (
            parts["loss_fast"]
            + parts["loss_deep"]
            + settings.router_weight * parts["loss_router"]
            + settings.ratio_weight * parts["loss_ratio"]
            + settings.balance_weight * parts["loss_balance"]
        )
        return {"loss": total, **parts}

    def _end_epoch(self, validation: Examples, last: bool) -> None:
        """Log what the epoch reached on validation data; after the last, set the router's scale there."""
        logits, router_logits = self._predict(validation)
        offset = float(np.quantile(router_logits, 1 - self.settings.deep_share))
        spread = float(router_logits.std())
        scale = spread if spread > MIN_SPREAD else 1.0
        scores = 1 / (1 + np.exp(-(router_logits - offset) / scale))
        deep = scores >= MIDPOINT
        routed = np.where(deep[:, None], logits["deep"], logits["fast"]).argmax(-1)
        self.log[-1] |= {
            "validation_deep_share": round(float(deep.mean()), 6),
            "validation_router_mean": round(float(scores.mean()), 6),
            "validation_router_std": round(spread, 6),
            "validation_macro_f1": round(_macro_f1(routed, validation.labels), 6),
        }
        if last:
            self.model.router.offset.fill_(offset)
            self.model.router.scale.fill_(scale)

    @torch.no_grad()
    def _predict(self, examples: Examples) -> tuple[dict[str, np.ndarray], np.ndarray]:
        self.model.eval()
        order = np.argsort([len(window.input_ids) for window in examples.windows], kind="stable")
        logits = {name: np.zeros((len(order), self.model.config.num_labels)) for name in ("fast", "deep")}
        router_logits = np.zeros(len(order))
        for start in range(0, len(order), self.settings.batch_size):
            rows = order[start : start + self.settings.batch_size]
            output = self._forward([examples.windows[row] for row in rows])
            logits["fast"][rows] = output.fast_logits.float().numpy()
            logits["deep"][rows] = output.deep_logits.float().numpy()
            router_logits[rows] = output.router_logits.float().numpy()
        return logits, router_logits


def _optimizer(model: nn.Module, settings: Train) -> torch.optim.Optimizer:
    """AdamW with a higher rate for what starts from scratch, and no decay on vectors."""
    groups: dict[tuple[float, float], dict[str, Any]] = {}
    for name, parameter in model.named_parameters():
        old = name.startswith(PRETRAINED) and not any(part in name for part in NEW)
        rate = settings.learning_rate if old else settings.head_learning_rate
        decay = settings.weight_decay if parameter.ndim > 1 else 0.0
        group = groups.setdefault(
            (rate, decay), {"params": [], "names": [], "lr": rate, "base_lr": rate, "weight_decay": decay}
        )
        group["params"].append(parameter)
        group["names"].append(name)
    return torch.optim.AdamW(groups.values(), fused=True)


def _schedule(step: int, total: int, warmup_fraction: float) -> float:
    """Linear warm-up, then linear decay to zero."""
    warmup = max(1, round(total * warmup_fraction))
    if step < warmup:
        return (step + 1) / warmup
    return max(0.0, (total - step) / max(1, total - warmup))


def _macro_f1(predicted: np.ndarray, labels: np.ndarray) -> float:
    scores = []
    for label in np.unique(labels):
        hit = np.sum((predicted == label) & (labels == label))
        scores.append(2 * hit / (np.sum(predicted == label) + np.sum(labels == label)))
    return float(np.mean(scores))


def _as_csv(log: Sequence[dict[str, Any]]) -> str:
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, LOG_COLUMNS, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(log)
    return buffer.getvalue()
