"""Scores of a guard that was trained but not exported: torch, in fp32."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch

from tinyguardrail.data.records import BENIGN
from tinyguardrail.inference.canonicalise import Canonical
from tinyguardrail.model.features import FeatureExtractor
from tinyguardrail.model.modeling import GuardForSequenceClassification
from tinyguardrail.progress import progress


def threat_by_reading(
    guard: GuardForSequenceClassification,
    extractor: FeatureExtractor,
    canonicalise: Callable[[str], Canonical],
    texts: Sequence[str],
    batch_size: int,
) -> dict[str, np.ndarray]:
    """Threat probabilities (N,) of N texts as a user gets them and by the model alone.

    `threat_canonicalised` is that of the text in the clear or of what it hides, whichever is more
    threatening, as `Guard.score` has it; `threat_raw` that of the text as it stands.
    """
    canonical = (canonicalise(text) for text in texts)
    views = {
        "threat_canonicalised": [tuple(dict.fromkeys((each.text, each.payload))) for each in canonical],
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
