"""The rows that baselines are trained on: those that the guard of the same seed draws."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from tinyguardrail.training.checkpoint import Checkpoint
from tinyguardrail.training.examples import Examples, LabelledTexts
from tinyguardrail.training.params import Train
from tinyguardrail.training.sampling import draw_rows
from tinyguardrail_paper.experiments.baselines.encoder import Reader
from tinyguardrail_paper.experiments.baselines.windows import Window
from tinyguardrail_paper.settings.baselines import Baselines

ENCODER = "minilm"  # of `model.encoders`, that the guard starts from too


class Classifier(NamedTuple):
    """A trained baseline.

    Attributes:
        probabilities: of W windows, (W, 4) in the order of `INTENTS`.
        parameters: how many numbers it was told or learned.
    """

    probabilities: Callable[[Sequence[Window]], np.ndarray]
    parameters: int


@dataclass(frozen=True)
class Training:
    """What a baseline is trained from.

    Attributes:
        texts: all rows of the split `train`; their labels are indices into `INTENTS`.
        train: the guard's settings, for which rows it draws.
        settings: the baselines' own.
        reader: cuts texts into windows, and windows into batches.
        checkpoint: where interrupted fine-tuning is kept.
    """

    texts: LabelledTexts
    train: Train
    settings: Baselines
    reader: Reader
    seed: int
    threads: int
    checkpoint: Checkpoint

    def draw(self, epoch: int) -> np.ndarray:
        """Rows of one epoch, as `Trainer` draws them."""
        rows = self.settings.rows_per_epoch or self.train.rows_per_epoch
        return draw_rows(self.texts.strata, rows, self.seed, epoch, self.train.weights)

    def examples(self, epoch: int) -> Examples:
        """One window of each row of an epoch, chosen as the guard's is."""
        return self.texts.examples(self.reader.windows, self.draw(epoch), [self.seed, epoch])

    @cached_property
    def every_example(self) -> Examples:
        """The examples of all epochs, one after the other."""
        epochs = [self.examples(epoch) for epoch in range(self.train.epochs)]
        windows = [window for examples in epochs for window in examples.windows]
        return Examples(windows, np.concatenate([examples.labels for examples in epochs]))
