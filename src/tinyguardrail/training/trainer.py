"""Training of the guard: one loop over batches, resumable at any step, the same to the bit."""

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import nn

from tinyguardrail.data.labels import BENIGN
from tinyguardrail.data.sampling import evenly_spaced_sample
from tinyguardrail.model.features import FeatureExtractor
from tinyguardrail.model.modeling import GuardForSequenceClassification, GuardOutput
from tinyguardrail.training.adversarial import EmbeddingAttack
from tinyguardrail.training.batches import epoch_batches
from tinyguardrail.training.checkpoint import Checkpoint
from tinyguardrail.training.distributed import Workers
from tinyguardrail.training.examples import Examples, LabelledTexts
from tinyguardrail.training.log import Log
from tinyguardrail.training.losses import (
    balance_loss,
    energy_loss,
    focal_loss,
    ratio_loss,
    router_loss,
    threat_logits,
)
from tinyguardrail.training.optimizer import build_optimizer, schedule, set_rates
from tinyguardrail.training.params import Train
from tinyguardrail.training.quantization_aware import forward_quantized
from tinyguardrail.training.sampling import draw_rows
from tinyguardrail.training.validation import RouterScale, predict, validate
from tinyguardrail_common.errors import UserError
from tinyguardrail_common.progress import progress

LOG_EVERY = 10  # steps
# Few lengths of batches mean few shapes of products, whose kernels are made once and found again.
PAD_MULTIPLE = 8
CRITERION = "validation_macro_f1"
OUT_OF_MEMORY = ("can't allocate memory", "out of memory")
Losses = dict[str, torch.Tensor]


class TrainingError(UserError):
    """Training that cannot go on."""


class Trainer:
    """Trains a guard on examples and sets the router's scale on validation data.

    Args:
        model: started from pretrained weights; changed in place.
        extractor: pads windows into batches.
        settings: the `train` section of the parameters.
        seed: of the data order; torch's own generator is seeded by the caller.
        checkpoint: where an interrupted run is kept.
        workers: the processes that train together.
        trackers: folder for what `settings.report_to` writes.
        block_size: of the INT8 weights, for the quantization-aware epochs.
    """

    def __init__(
        self,
        model: GuardForSequenceClassification,
        extractor: FeatureExtractor,
        settings: Train,
        seed: int,
        checkpoint: Checkpoint,
        workers: Workers,
        trackers: Path,
        block_size: int,
    ):
        self.model = model
        self.extractor = extractor
        self.settings = settings
        self.seed = seed
        self.checkpoint = checkpoint
        self.workers = workers
        self.trackers = trackers
        self.block_size = block_size
        self.wrapped = workers.wrap(model)
        self.optimizer = build_optimizer(model, settings)
        self.attack = EmbeddingAttack(
            model.embeddings, settings.adversarial_epsilon, settings.adversarial_steps
        )
        self.autocast = torch.autocast(
            workers.device.type, torch.bfloat16, enabled=settings.precision == "bf16"
        )

    def fit(self, train: LabelledTexts, validation: LabelledTexts) -> str:
        """Train to the end, resuming where a killed run stopped; returns the log as CSV text.

        With `early_stopping_patience` training ends when that many epochs in a row did not beat the
        best one. The model is left as it was after the best epoch.

        Raises:
            TrainingError: the loss is not finite (the step is named and the last good state stays),
                or memory ran out.
        """
        rows = min(self.settings.rows_per_epoch or len(train), len(train))
        per_epoch = -(-rows // self.settings.batch_size)
        total = per_epoch * self.settings.epochs
        state = self.checkpoint.load(self.model, self.optimizer) or {"step": 0, "log": [], "best": None}
        report_to = self.settings.report_to if self.workers.first else ()
        log = Log(state["log"], report_to, self.trackers, f"seed{self.seed}")
        held_out = self._held_out(validation)
        saved, epoch = time.monotonic(), None
        for step in progress(range(state["step"], total), f"train seed {self.seed}"):
            if epoch != step // per_epoch:
                epoch = step // per_epoch
                examples, batches = self._epoch(train, epoch)
            values = {"epoch": epoch, **self._step(examples, batches[step % per_epoch], step, total, epoch)}
            ends_epoch = (step + 1) % per_epoch == 0
            if ends_epoch:
                values |= self._end_epoch(held_out, state, epoch)
            if ends_epoch or step % LOG_EVERY == 0:
                log.write(step, values)
            if ends_epoch and self._without_gain(state["best"], epoch):
                break
            if time.monotonic() - saved >= self.settings.checkpoint_seconds and step + 1 < total:
                self._save(state | {"step": step + 1, "log": log.rows})
                saved = time.monotonic()
        self.checkpoint.load_best(self.model)
        self.workers.wait()  # the first process removes the folder next
        self._set_router_scale(held_out)
        return log.as_csv()

    # ---- one epoch, one step ------------------------------------------------------------

    def _epoch(self, train: LabelledTexts, epoch: int) -> tuple[Examples, list[np.ndarray]]:
        rows = draw_rows(train.strata, self.settings.rows_per_epoch, self.seed, epoch, self.settings.weights)
        examples = train.examples(self.extractor, rows, [self.seed, epoch])
        return examples, epoch_batches(examples.lengths, self.settings.batch_size, self.seed, epoch)

    def _step(
        self, examples: Examples, rows: np.ndarray, step: int, total: int, epoch: int
    ) -> dict[str, float]:
        self.model.train()
        factor = schedule(step, total, self.settings.warmup_fraction)
        set_rates(self.optimizer, factor)
        parts = np.array_split(rows, min(self.settings.accumulation_steps, len(rows)))
        summed: dict[str, float] = {}
        try:
            for part in parts:
                for name, value in self._backward(examples, part, len(part) / len(rows), epoch).items():
                    summed[name] = summed.get(name, 0.0) + value.item()
        except (RuntimeError, MemoryError) as error:
            if isinstance(error, MemoryError) or any(text in str(error) for text in OUT_OF_MEMORY):
                raise TrainingError(
                    f"seed {self.seed}: out of memory at step {step}; raise train.accumulation_steps "
                    f"(now {self.settings.accumulation_steps}) or lower train.batch_size"
                ) from error
            raise
        if not np.isfinite(summed["loss"]):
            raise TrainingError(
                f"seed {self.seed}: the loss is {summed['loss']} at step {step}; "
                "lower train.learning_rate or set train.precision to fp32"
            )
        nn.utils.clip_grad_norm_(self.model.parameters(), self.settings.clip_norm)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return summed | {"learning_rate": self.settings.learning_rate * factor}

    def _backward(self, examples: Examples, rows: np.ndarray, share: float, epoch: int) -> Losses:
        """Add the gradients of these rows; returns their losses, both times `share`."""
        settings = self.settings
        labels = torch.from_numpy(examples.labels[rows]).to(self.workers.device)
        mine = self.workers.share(rows)
        batch = self.extractor.collate([examples.windows[row] for row in mine], PAD_MULTIPLE)
        inputs = [torch.from_numpy(array).to(self.workers.device) for array in batch]
        forward = self._forward_of(epoch)
        output = self.workers.gather(forward(self.wrapped, *inputs), len(rows))
        losses = self._losses(output, labels)
        (losses["loss"] * share).backward()
        if _reached(settings.adversarial_epoch, epoch):
            own_labels = torch.from_numpy(examples.labels[mine]).to(self.workers.device)
            delta = self.attack.find(lambda: self._classification(forward(self.model, *inputs), own_labels))
            with self.attack.applied(delta):
                attacked = self.workers.gather(forward(self.wrapped, *inputs), len(rows))
            losses["loss_adversarial"] = self._classification(attacked, labels)
            (losses["loss_adversarial"] * (settings.adversarial_weight * share)).backward()
        return {name: value.detach() * share for name, value in losses.items()}

    def _forward_of(self, epoch: int) -> Callable[..., GuardOutput]:
        quantized = _reached(self.settings.quantization_aware_epoch, epoch)

        def forward(model: nn.Module, *inputs: torch.Tensor) -> GuardOutput:
            with self.autocast:
                return forward_quantized(model, self.block_size, *inputs) if quantized else model(*inputs)

        return forward

    def _focal(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """(B, L), (B,) -> (B,): which intent, and, weighted by `threat_weight`, whether a threat at all."""
        shape = self.settings.focal_alpha, self.settings.focal_gamma
        loss = focal_loss(logits, labels, *shape)
        if self.settings.threat_weight > 0:
            benign = self._benign
            threat = focal_loss(threat_logits(logits, benign), (labels != benign).long(), *shape)
            loss = loss + self.settings.threat_weight * threat
        return loss

    @property
    def _benign(self) -> int:
        return self.model.config.label2id[BENIGN]

    def _classification(self, output: GuardOutput, labels: torch.Tensor) -> torch.Tensor:
        return sum(self._focal(logits, labels).mean() for logits in (output.fast_logits, output.deep_logits))

    def _losses(self, output: GuardOutput, labels: torch.Tensor) -> Losses:
        settings = self.settings
        fast, deep = (self._focal(logits, labels) for logits in (output.fast_logits, output.deep_logits))
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
        if settings.energy_weight > 0:
            parts["loss_energy"] = sum(
                energy_loss(logits, labels, self._benign, settings.energy_margin)
                for logits in (output.fast_logits, output.deep_logits)
            )
            total = total + settings.energy_weight * parts["loss_energy"]
        return {"loss": total, **parts}

    # ---- the end of an epoch --------------------------------------------------------------

    def _held_out(self, validation: LabelledTexts) -> Examples:
        """Validation rows, evenly spread, that every epoch is measured on."""
        rows = evenly_spaced_sample(range(len(validation)), self.settings.validation_rows)
        return validation.examples(self.extractor, rows, [self.seed])

    def _end_epoch(self, held_out: Examples, state: dict, epoch: int) -> dict[str, float]:
        """Measure the epoch; where it is the best so far, note it in `state` and keep its weights."""
        fast, deep, router = self._predict(held_out)
        scale = RouterScale.of(router, self.settings.deep_share)
        found = validate(fast, deep, scale.scores(router), held_out.labels)
        if state["best"] is None or found[CRITERION] > state["best"]["value"]:
            state["best"] = {"epoch": epoch, "value": found[CRITERION]}
            if self.workers.first:
                self.checkpoint.save_best(self.model)
            self.workers.wait()
        return {**found, "validation_router_std": scale.spread}

    def _predict(self, held_out: Examples) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        return predict(self.model, self.extractor, held_out, self.settings.batch_size, self.autocast)

    def _without_gain(self, best: dict, epoch: int) -> bool:
        patience = self.settings.early_stopping_patience
        return patience is not None and epoch - best["epoch"] >= patience

    def _set_router_scale(self, held_out: Examples) -> None:
        router = self._predict(held_out)[2]
        scale = RouterScale.of(router, self.settings.deep_share)
        self.model.router.offset.fill_(scale.offset)
        self.model.router.scale.fill_(scale.scale)

    def _save(self, progress: dict) -> None:
        if self.workers.first:
            self.checkpoint.save(self.model, self.optimizer, progress)
        self.workers.wait()


def _reached(start: int | None, epoch: int) -> bool:
    return start is not None and epoch >= start
