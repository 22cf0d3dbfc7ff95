"""Labelled texts, and the windows of them that training reads."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from tinyguardrail.data.labels import BENIGN
from tinyguardrail.data.records import Record
from tinyguardrail.model.features import FeatureExtractor, Window
from tinyguardrail.training.sampling import stratum
from tinyguardrail_common.errors import UserError


class LabelError(UserError):
    """Data whose intents are not the model's."""


@dataclass
class Examples:
    """Texts ready for the model: one window of each, and the ids (N,) of what they are after."""

    windows: list[Window]
    labels: np.ndarray

    @property
    def lengths(self) -> list[int]:
        """Tokens of each window."""
        return [len(window.input_ids) for window in self.windows]


@dataclass
class LabelledTexts:
    """N texts with ids (N,) of what they are after, and the stratum of each that a draw balances."""

    texts: Sequence[str]
    labels: np.ndarray
    strata: Sequence[str]
    benign: int

    @classmethod
    def of(cls, records: Sequence[Record], label2id: dict[str, int]) -> Self:
        """
        Raises:
            LabelError: a record has an intent that the model lacks.
        """
        unknown = sorted({record.intent for record in records} - label2id.keys())
        if unknown:
            raise LabelError(
                f"the data has the intents {', '.join(unknown)}, the model only {', '.join(label2id)}; "
                "train a model with these intents or correct the data"
            )
        return cls(
            [record.text for record in records],
            np.array([label2id[record.intent] for record in records], dtype=np.int64),
            [stratum(record) for record in records],
            label2id[BENIGN],
        )

    def __len__(self) -> int:
        return len(self.texts)

    def examples(self, extractor: FeatureExtractor, rows: Sequence[int], seed: Sequence[int]) -> Examples:
        """One window of each of these rows.

        Of a threat it is the first window, where most attacks start. Every window of a benign text
        is benign, so one is drawn.
        """
        rng = np.random.default_rng(seed)
        windows: list[list[Window]] = [[] for _ in rows]
        for window in extractor.windows([self.texts[row] for row in rows]):
            windows[window.text].append(window)
        chosen = [
            found[rng.integers(len(found)) if self.labels[row] == self.benign else 0]
            for row, found in zip(rows, windows, strict=True)
        ]
        return Examples(chosen, self.labels[np.asarray(rows)])
