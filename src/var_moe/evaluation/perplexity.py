"""Perplexity by strided windows: every token of a text scored once, with enough of the text before it.

A text longer than the model's positions is read in windows of equal length; each window
scores only the tokens that no window before it has scored. With `stride` below `window`
every token but the first `window` ones has at least `window - stride` tokens of context.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from tinyguardrail_common.errors import UserError
from tinyguardrail_common.progress import progress


def window_spans(length: int, window: int, stride: int) -> list[tuple[int, int]]:
    """(start, first token scored) of each window over `length` tokens.

    All windows are `window` long, or all of the text where that is shorter: the last one is
    moved back to end with the text. Token 0 has nothing before it and is never scored.

    Raises:
        UserError: the text has no token to predict.
    """
    if length < 2:
        raise UserError(f"{length} tokens leave none to predict")
    spans, scored = [], 1
    for start in range(0, length, stride):
        start = min(start, max(0, length - window))
        spans.append((start, scored))
        scored = min(length, start + window)
        if scored == length:
            break
    return spans


@torch.inference_mode()
def token_nll(
    model: Callable[..., Any], ids: Tensor, *, window: int, stride: int, batch_size: int, label: str
) -> np.ndarray:
    """Negative log-likelihood of each token but the first, in nats.

    Args:
        model: called with `input_ids` (B, window); returns an object with `logits` (B, window, V).
        ids: (T,) token ids of one text, or of documents laid end to end.

    Returns:
        (T - 1,) float64.
    """
    spans = window_spans(len(ids), window, stride)
    nll = torch.empty(len(ids) - 1, dtype=torch.float64)
    for first in progress(range(0, len(spans), batch_size), label):
        part = spans[first : first + batch_size]
        batch = torch.stack([ids[start : start + window] for start, _ in part])  # (B, W)
        logits = model(input_ids=batch, use_cache=False).logits  # (B, W, V)
        losses = F.cross_entropy(logits[:, :-1].float().transpose(1, 2), batch[:, 1:], reduction="none")
        for (start, scored), row in zip(part, losses.double(), strict=True):
            nll[scored - 1 : start + len(row)] = row[scored - 1 - start :]
    return nll.numpy()


def perplexity(nll: np.ndarray, tokens: int) -> float:
    """Exponential of the mean over all predicted tokens, not of means of documents."""
    return math.exp(nll.sum() / tokens)
