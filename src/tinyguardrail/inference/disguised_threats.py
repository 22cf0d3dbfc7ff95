"""How a verdict keeps intent and obfuscation apart.

A disguise is undone before the text is judged, so the model tells what is hidden, not that it
was hidden. Where one was undone, a threat is an obfuscated one, whatever its intent: most of
the probability of each kind of threat goes to obfuscation, and the rest, in its proportion,
still says which kind it is.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from tinyguardrail.model.model_files import LABELS

BENIGN = LABELS.index("benign")
OBFUSCATION = LABELS.index("obfuscation")
INTENTS = [index for index in range(len(LABELS)) if index not in (BENIGN, OBFUSCATION)]
LEFT = 0.05  # of an intent's probability that stays with it; little enough to change no label


def as_obfuscation(probabilities: np.ndarray, disguised: np.ndarray) -> np.ndarray:
    """Probabilities (N, L) with the threats of disguised texts, (N,) bool, called obfuscation.

    The probability of benign stays what it is, and with it that of a threat.
    """
    moved = np.where(disguised[:, None], (1 - LEFT) * probabilities[:, INTENTS], 0)
    named = probabilities.copy()
    named[:, INTENTS] -= moved
    named[:, OBFUSCATION] += moved.sum(-1)
    return named


def intent_of(label: str, probabilities: Mapping[str, float]) -> str:
    """What a text is after: the likelier kind of threat where its label is one, else benign."""
    if label == LABELS[BENIGN]:
        return label
    return max((LABELS[index] for index in INTENTS), key=probabilities.__getitem__)
