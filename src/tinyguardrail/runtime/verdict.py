"""What the guard says of a text, and how that keeps intent and obfuscation apart.

An obfuscation is undone before the text is judged, so the model tells what is hidden, not that it
was hidden. Where one was undone, a threat is labelled as an obfuscated one, whatever its intent.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from tinyguardrail.data.labels import BENIGN, LABEL_OF_INTENT, LABELS, OBFUSCATION
from tinyguardrail.runtime.response import CODE_OF_FAMILY, LEVELS, Response


class Verdict(NamedTuple):
    """What the guard says of one text.

    `intent` is the likeliest of benign, injection, jailbreak and harm; `label` is obfuscation for a threat
    that was hidden. Neither decides: `blocked` is what the guard's policy says at its threshold.
    """

    intent: str
    threat_probability: float  # 1 - probability of benign
    blocked: bool
    deep: bool  # which branch decided
    probabilities: dict[str, float]  # of each intent
    obfuscation: str = "none"  # family of attacks that was undone before the text was judged
    truncated: bool = False  # longer than what is searched for obfuscations; it was judged to its end
    policies: Mapping[str, bool] = MappingProxyType({})  # name -> blocks it, of every policy with a threshold

    @property
    def label(self) -> str:
        """One of `LABELS`."""
        hidden = self.intent != BENIGN and self.obfuscation != "none"
        return OBFUSCATION if hidden else LABEL_OF_INTENT[self.intent]

    @property
    def response(self) -> Response:
        """The 16 bits. Their label is that of the intent: the family says that it was hidden, and how."""
        return Response(
            blocked=int(self.blocked),
            label=LABELS.index(LABEL_OF_INTENT[self.intent]),
            threat=round(self.threat_probability * LEVELS),
            deep=int(self.deep),
            obfuscation_family=CODE_OF_FAMILY[self.obfuscation],
            truncated=int(self.truncated),
        )
