"""What a guard reaches on validation rows, and the scale of its router that they set."""

from typing import NamedTuple, Self

import numpy as np
import torch

from tinyguardrail.data.macro_f1 import macro_f1
from tinyguardrail.model.features import FeatureExtractor
from tinyguardrail.model.modeling import GuardForSequenceClassification
from tinyguardrail.training.examples import Examples
from tinyguardrail.training.losses import MIDPOINT

MIN_SPREAD = 1e-4  # of router logits; below it the router tells no text from another


class RouterScale(NamedTuple):
    """Puts the wanted share of texts above one half, one unit of the logit apart by their spread."""

    offset: float
    scale: float
    spread: float

    @classmethod
    def of(cls, router_logits: np.ndarray, deep_share: float) -> Self:
        spread = float(router_logits.std())
        offset = float(np.quantile(router_logits, 1 - deep_share))
        return cls(offset, spread if spread > MIN_SPREAD else 1.0, spread)

    def scores(self, router_logits: np.ndarray) -> np.ndarray:
        return 1 / (1 + np.exp(-(router_logits - self.offset) / self.scale))


def validate(fast: np.ndarray, deep: np.ndarray, scores: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """Columns of the log: how the routed guard does, and each branch alone.

    Args:
        fast, deep: (N, L) logits of the branches.
        scores: (N,) of the router.
        labels: (N,)
    """
    goes_deep = scores >= MIDPOINT
    routed = np.where(goes_deep[:, None], deep, fast)
    return {
        "validation_deep_share": float(goes_deep.mean()),
        "validation_router_mean": float(scores.mean()),
        "validation_macro_f1": macro_f1(labels, routed.argmax(-1)),
        "validation_macro_f1_fast": macro_f1(labels, fast.argmax(-1)),
        "validation_macro_f1_deep": macro_f1(labels, deep.argmax(-1)),
    }


@torch.no_grad()
def predict(
    model: GuardForSequenceClassification,
    extractor: FeatureExtractor,
    examples: Examples,
    batch_size: int,
    autocast: torch.autocast,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Logits (N, L) of the fast and the deep branch, and the router's (N,)."""
    model.eval()
    device = next(model.parameters()).device
    order = np.argsort(examples.lengths, kind="stable")
    fast, deep = (np.zeros((len(order), model.config.num_labels)) for _ in range(2))
    router = np.zeros(len(order))
    for start in range(0, len(order), batch_size):
        rows = order[start : start + batch_size]
        batch = extractor.collate([examples.windows[row] for row in rows])
        with autocast:
            output = model(*(torch.from_numpy(array).to(device) for array in batch))
        fast[rows] = output.fast_logits.float().cpu().numpy()
        deep[rows] = output.deep_logits.float().cpu().numpy()
        router[rows] = output.router_logits.float().cpu().numpy()
    return fast, deep, router
