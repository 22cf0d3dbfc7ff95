"""Puts the wanted share of texts above one half on the scores of the graph that users run.

Training sets the router's scale with the weights that it had, on texts as they stand. Rounded
weights move all scores a little, and users' texts are normalized first; where scores lie
close together, that is enough to send many more texts to one branch, or hardly any. Moving the
scale keeps the order of texts, which is what the router learned.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from tinyguardrail.runtime.guard import ALWAYS_FAST, Guard

OFFSET, SCALE = "router.offset", "router.scale"


def rescaled(
    weights: Mapping[str, np.ndarray], guard: Guard, texts: Sequence[str], deep_share: float
) -> dict[str, np.ndarray]:
    """The weights with the router's scale set anew on validation texts.

    Args:
        weights: that `guard`'s graph was made of.
        deep_share: of the texts that shall score one half or more.
    """
    scores = guard.score(texts, router_threshold=ALWAYS_FAST).router_score.astype(np.float64)
    logits = np.log(scores) - np.log1p(-scores)
    spread = float(logits.std())
    offset = weights[OFFSET] + weights[SCALE] * np.quantile(logits, 1 - deep_share)
    scale = weights[SCALE] * (spread if spread > 0 else 1.0)
    return {**weights, OFFSET: offset.astype(np.float32), SCALE: scale.astype(np.float32)}
