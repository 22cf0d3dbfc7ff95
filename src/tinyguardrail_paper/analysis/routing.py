"""Which branch answers: the router's threshold, applied after both branches were scored."""

from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from tinyguardrail.data.labels import INTENTS
from tinyguardrail.runtime.temperature import apply_temperature, fit_temperature
from tinyguardrail.runtime.threshold import blocking_threshold
from tinyguardrail_paper.analysis.scores import Scores

ALWAYS_FAST = float("inf")
ALWAYS_DEEP = float("-inf")


@dataclass(frozen=True)
class Decisions:
    """What S guards decide on N rows at one routing threshold.

    Attributes:
        deep: whether the deep branch answered, (S, N) bool.
        probabilities: calibrated class probabilities of the answering branch, (S, N, 4).
        threat_score: what the policy makes of them, (S, N).
        predicted: most probable class, (S, N).
        blocked: threat score at or above the seed's blocking threshold, (S, N) bool.
        temperature, block_threshold: fitted on validation rows, (S,).
    """

    deep: np.ndarray
    probabilities: np.ndarray
    threat_score: np.ndarray
    predicted: np.ndarray
    blocked: np.ndarray
    temperature: np.ndarray
    block_threshold: np.ndarray

    @property
    def confidence(self) -> np.ndarray:
        """Probability of the predicted class, (S, N)."""
        return self.probabilities.max(axis=-1)

    @property
    def tells_intents(self) -> bool:
        """False of a guard that only says how threatening a text is."""
        return self.probabilities.shape[-1] == len(INTENTS)

    def take(self, places: np.ndarray) -> Self:
        """What was decided on some of the rows, by their places, (n,)."""
        return replace(
            self,
            deep=self.deep[:, places],
            probabilities=self.probabilities[:, places],
            threat_score=self.threat_score[:, places],
            predicted=self.predicted[:, places],
            blocked=self.blocked[:, places],
        )


def answers(scores: Scores, deep: np.ndarray) -> np.ndarray:
    """Class probabilities of the branch that answers each row, not calibrated, (S, N, 4).

    Args:
        deep: rows that the deep branch answers, (S, N) bool.
    """
    return np.where(deep[..., None], scores.deep, scores.fast)


def decide(scores: Scores, threshold: float, target_false_positive_rate: float) -> Decisions:
    """Send rows whose router score is at or above `threshold` deep; the rest as in `decide_routes`."""
    return decide_routes(scores, scores.router >= threshold, target_false_positive_rate)


def decide_routes(scores: Scores, deep: np.ndarray, target_false_positive_rate: float) -> Decisions:
    """Route rows as `deep`, (S, N) bool, says, then calibrate each seed on its validation rows so routed.

    Temperature and blocking threshold belong to the mixture of branches that a choice of
    rows gives, so each choice has its own. The temperature is one for all policies: it is fitted on rows
    of every intent.
    """
    raw, validation = answers(scores, deep), scores.whole_split("validation")
    benign = scores.split("validation") & ~scores.threat
    temperatures = [fit_temperature(each[validation], scores.intent[validation]) for each in raw]
    probabilities = np.stack([apply_temperature(p, t) for p, t in zip(raw, temperatures, strict=True)])
    threat_score = scores.policy.score(probabilities)
    thresholds = np.array([blocking_threshold(s[benign], target_false_positive_rate) for s in threat_score])
    return Decisions(
        deep=deep,
        probabilities=probabilities,
        threat_score=threat_score,
        predicted=probabilities.argmax(axis=-1),
        blocked=threat_score >= thresholds[:, None],
        temperature=np.array(temperatures),
        block_threshold=thresholds,
    )


def collapsed_seeds(scores: Scores, decisions: Decisions) -> dict[int, float]:
    """Seeds whose router sends all or none of the validation rows deep, with that share."""
    shares = decisions.deep[:, scores.split("validation")].mean(axis=-1)
    return {seed: float(share) for seed, share in zip(scores.seeds, shares, strict=True) if share in (0, 1)}
