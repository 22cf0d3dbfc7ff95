"""Scores of a guard that was trained but not exported: torch, in fp32."""

from collections.abc import Callable, Sequence

import numpy as np
import torch

from tinyguardrail.data.labels import BENIGN
from tinyguardrail.model.features import FeatureExtractor
from tinyguardrail.model.modeling import GuardForSequenceClassification
from tinyguardrail.normalization.normalizer import Normalized
from tinyguardrail_common.progress import progress


def threat_by_reading(
    guard: GuardForSequenceClassification,
    extractor: FeatureExtractor,
    normalize: Callable[[str], Normalized],
    texts: Sequence[str],
    batch_size: int,
) -> dict[str, np.ndarray]:
    """Threat probabilities (N,) of N texts as a user gets them and by the model alone.

    `threat_normalized` is that of the text in the clear or of what it hides, whichever is more
    threatening, as `Guard.score` has it; `threat_raw` that of the text as it stands.
    """
    normalized = (normalize(text) for text in texts)
    views = {
        "threat_normalized": [tuple(dict.fromkeys((each.text, each.payload))) for each in normalized],
        "threat_raw": [(text,) for text in texts],
    }
    return {name: threat_probabilities(guard, extractor, own, batch_size) for name, own in views.items()}


@torch.inference_mode()
def threat_probabilities(
    guard: GuardForSequenceClassification,
    extractor: FeatureExtractor,
    views: Sequence[Sequence[str]],
    batch_size: int,
) -> np.ndarray:
    """Threat probability of each of N texts, (N,), not calibrated: that of its most threatening window.

    Each window is answered by the branch that the guard's router chooses for it.

    Args:
        views: of each text, at least one.
    """
    guard.eval()
    device, benign = next(guard.parameters()).device, guard.config.label2id[BENIGN]
    owner = np.array([row for row, own in enumerate(views) for _ in own])  # of each view
    windows = extractor.windows([view for own in views for view in own])
    order = np.argsort([len(window.input_ids) for window in windows], kind="stable")
    threat = np.zeros(len(views))
    for start in progress(range(0, len(order), batch_size), "scoring"):
        batch = [windows[place] for place in order[start : start + batch_size]]
        logits = guard(*(torch.from_numpy(array).to(device) for array in extractor.collate(batch))).logits
        found = 1 - logits.double().softmax(-1)[:, benign]
        np.maximum.at(threat, owner[[window.text for window in batch]], found.cpu().numpy())
    return threat
