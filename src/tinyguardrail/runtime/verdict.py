"""What the guard says of a text, and how that keeps intent and obfuscation apart.

An obfuscation is undone before the text is judged, so the model tells what is hidden, not that it
was hidden. Where one was undone, a threat is an obfuscated one, whatever its intent: most of
the probability of each kind of threat goes to obfuscation, and the rest, in its proportion,
still says which kind it is.
"""

from typing import NamedTuple

import numpy as np

from tinyguardrail.data.labels import LABELS
from tinyguardrail.runtime.response import CODE_OF_FAMILY, LEVELS, Response

BENIGN = LABELS.index("benign")
OBFUSCATION = LABELS.index("obfuscation")
INTENTS = [index for index in range(len(LABELS)) if index not in (BENIGN, OBFUSCATION)]
LEFT = 0.05  # of an intent's probability that stays with it; little enough to change no label


class Verdict(NamedTuple):
    """What the guard says of one text.

    `label` is obfuscation for a threat that was hidden; `intent` is what it is after all the same.
    """

    label: str
    threat_probability: float  # 1 - probability of benign
    blocked: bool
    deep: bool  # which branch decided
    probabilities: dict[str, float]
    obfuscation: str = "none"  # family of attacks that was undone before the text was judged
    truncated: bool = False  # longer than what is searched for obfuscations; it was judged to its end

    @property
    def intent(self) -> str:
        """What the text is after: the likelier kind of threat where its label is one, else benign."""
        if self.label == LABELS[BENIGN]:
            return self.label
        return max((LABELS[index] for index in INTENTS), key=self.probabilities.__getitem__)

    @property
    def response(self) -> Response:
        """The 16 bits. Their class is the intent where a family says that it was hidden, and how."""
        label = self.label if self.obfuscation == "none" else self.intent
        return Response(
            blocked=int(self.blocked),
            label=list(self.probabilities).index(label),
            threat=round(self.threat_probability * LEVELS),
            deep=int(self.deep),
            obfuscation_family=CODE_OF_FAMILY[self.obfuscation],
            truncated=int(self.truncated),
        )


def as_obfuscation(probabilities: np.ndarray, obfuscated: np.ndarray) -> np.ndarray:
    """Probabilities (N, L) with the threats of obfuscated texts, (N,) bool, called obfuscation.

    The probability of benign stays what it is, and with it that of a threat.
    """
    moved = np.where(obfuscated[:, None], (1 - LEFT) * probabilities[:, INTENTS], 0)
    named = probabilities.copy()
    named[:, INTENTS] -= moved
    named[:, OBFUSCATION] += moved.sum(-1)
    return named
