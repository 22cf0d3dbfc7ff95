"""The plain rival: all of MiniLM fine-tuned with a linear head, by cross-entropy over intents."""

import time
from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from tinyguardrail.data.labels import INTENTS
from tinyguardrail.model.encoders import load_encoder
from tinyguardrail.training.batches import epoch_batches
from tinyguardrail.training.examples import Examples
from tinyguardrail.training.optimizer import schedule, set_rates
from tinyguardrail_common.errors import UserError
from tinyguardrail_common.progress import progress
from tinyguardrail_paper.experiments.baselines.encoder import MeanPooled
from tinyguardrail_paper.experiments.baselines.rows import ENCODER, Classifier, Training
from tinyguardrail_paper.experiments.baselines.windows import Window
from tinyguardrail_paper.settings.baselines import Baselines


class BaselineError(UserError):
    """A baseline that cannot be trained."""


class FineTuned(nn.Module):
    """An encoder and a linear head."""

    def __init__(self, encoder: MeanPooled):
        super().__init__()
        self.encoder = encoder
        self.head = nn.Linear(encoder.encoder.config.hidden_size, len(INTENTS))

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        """(B, T), (B, T) -> logits (B, 4) in the order of `INTENTS`."""
        return self.head(self.encoder(input_ids, attention_mask))


def train_fine_tuned(training: Training) -> Classifier:
    """As long as the guard is trained, resuming where a killed run stopped.

    Raises:
        BaselineError: the loss is not finite; the step is named.
    """
    torch.manual_seed(training.seed)
    model = FineTuned(MeanPooled(load_encoder(ENCODER)[0])).to(training.reader.device)
    _fit(model, training)

    def probabilities(windows: Sequence[Window]) -> np.ndarray:
        logits = training.reader.run_all(model, windows, "fine-tuned encoder")
        return torch.from_numpy(logits).double().softmax(-1).numpy()

    return Classifier(probabilities, sum(each.numel() for each in model.parameters()))


def _fit(model: FineTuned, training: Training) -> None:
    """Leaves a state behind after the last step too: scoring may be killed as well."""
    settings, checkpoint = training.settings, training.checkpoint
    optimizer = _optimizer(model, settings)
    per_epoch = -(-len(training.draw(0)) // settings.batch_size)
    total = per_epoch * training.train.epochs
    state = checkpoint.load(model, optimizer) or {"step": 0}
    saved, epoch = time.monotonic(), None
    for step in progress(range(state["step"], total), f"fine-tune seed {training.seed}"):
        if epoch != step // per_epoch:
            epoch = step // per_epoch
            examples = training.examples(epoch)
            batches = epoch_batches(examples.lengths, settings.batch_size, training.seed, epoch)
        set_rates(optimizer, schedule(step, total, settings.warmup_fraction))
        _step(model, optimizer, training, examples, batches[step % per_epoch], step)
        late = time.monotonic() - saved >= training.train.checkpoint_seconds
        if late or step + 1 == total:
            checkpoint.save(model, optimizer, {"step": step + 1})
            saved = time.monotonic()


def _step(
    model: FineTuned,
    optimizer: torch.optim.Optimizer,
    training: Training,
    examples: Examples,
    rows: np.ndarray,
    step: int,
) -> None:
    model.train()
    logits = training.reader.run(model, [examples.windows[row] for row in rows])
    labels = torch.from_numpy(examples.labels[rows]).to(logits.device)
    loss = nn.functional.cross_entropy(logits.float(), labels)
    if not loss.isfinite():
        raise BaselineError(
            f"seed {training.seed}: the loss of the fine-tuned baseline is {loss.item()} at step {step}; "
            "lower baselines.learning_rate or set train.precision to fp32"
        )
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), training.settings.clip_norm)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)


def _optimizer(model: nn.Module, settings: Baselines) -> torch.optim.Optimizer:
    """AdamW at one rate, without decay on vectors; groups name their parameters, as `Checkpoint` wants."""
    groups = []
    for decays in (True, False):
        own = {name: each for name, each in model.named_parameters() if (each.ndim > 1) == decays}
        groups.append(
            {
                "params": list(own.values()),
                "names": list(own),
                "base_lr": settings.learning_rate,
                "weight_decay": settings.weight_decay if decays else 0.0,
            }
        )
    return torch.optim.AdamW(groups, lr=settings.learning_rate, fused=True)
