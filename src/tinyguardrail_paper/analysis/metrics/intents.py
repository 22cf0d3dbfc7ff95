"""How well the four intents are told apart."""

import numpy as np

from tinyguardrail.data.macro_f1 import macro_f1
from tinyguardrail_paper.analysis.metrics.metric import Statistic


def weighted_macro_f1(intent: np.ndarray, predicted: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Mean F1 over the classes of `intent`; a class that a sample misses is left out of its mean."""
    classes = np.unique(intent)[:, None]
    actual, guessed = intent == classes, predicted == classes
    counted = np.concatenate([actual, guessed, actual & guessed]).T.astype(weights.dtype)  # (n, 3C)
    occurs, guesses, hits = np.split(weights @ counted, 3, axis=1)  # each (B, C)
    with np.errstate(invalid="ignore", divide="ignore"):
        scores = np.where(occurs > 0, 2 * hits / (occurs + guesses), np.nan)
        present = (~np.isnan(scores)).sum(axis=1)
        return np.where(present > 0, np.nansum(scores, axis=1) / present, np.nan)


METRICS = (
    Statistic(
        name="macro_f1",
        of_intents=True,
        title="macro F1",
        format="probability",
        point=lambda rows: macro_f1(rows.intent, rows.predicted),
        weighted=lambda rows, weights: weighted_macro_f1(rows.intent, rows.predicted, weights),
    ),
)
