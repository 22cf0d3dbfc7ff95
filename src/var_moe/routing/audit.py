"""Audit: a random sample of the calls that the table decides is put to the stock router too.

The sample is drawn call by call (one layer of one token), each with the same chance and
independent of the others. The agreement it estimates is that of all bypassed calls of the
run, and all randomness is the draw's own: calls of one token or text may be as alike as
they like, the number of agreements is still hypergeometric, and an interval for independent
trials (Clopper and Pearson 1934) covers at least as often as it says. A sample of whole
tokens or texts would need a clustered interval.
"""

import hashlib
from typing import Any

import numpy as np
import torch
from scipy.special import betaincinv
from torch import Tensor

from tinyguardrail_common.errors import UserError


def clopper_pearson(successes: int, trials: int, level: float = 0.95) -> tuple[float, float]:
    """Exact interval of a proportion; (0, 1) without trials."""
    tail = (1 - level) / 2
    low = float(betaincinv(successes, trials - successes + 1, tail)) if successes else 0.0
    high = float(betaincinv(successes + 1, trials - successes, 1 - tail)) if successes < trials else 1.0
    return low, high


def sample_calls(key: bytes, index: int, shape: tuple[int, int], rate: float) -> Tensor:
    """Which of (layers, tokens) calls of the forward pass `index` are audited; bool, on the CPU.

    A keyed hash decides, so that nobody without the key can tell beforehand and anybody with
    it can tell afterwards. `rate` is met to 1/65536.
    """
    layers, tokens = shape
    stream = hashlib.shake_256(key + index.to_bytes(8, "big")).digest(2 * layers * tokens)
    draws = np.frombuffer(stream, dtype="<u2").reshape(shape)
    return torch.from_numpy(draws < round(rate * 2**16))


class Audit:
    """Draws the sample and keeps the tally.

    Args:
        rate: share of bypassed calls to audit.
        key: of the sample.

    Raises:
        UserError: the rate is no share.
    """

    def __init__(self, rate: float, key: bytes) -> None:
        if not 0 < rate <= 1:
            raise UserError(f"audit_rate {rate} must lie above 0 and at most at 1")
        self.rate, self.key = rate, key
        self._passes = 0  # audited; a reset of the tally does not draw the same samples again
        self.reset()

    def reset(self) -> None:
        """Forget the tally."""
        self.sampled = self.agreed = 0

    def draw(self, decided: Tensor) -> list[Tensor]:
        """Positions of the calls to audit, per layer, among the (L, T) calls that are `decided`."""
        sample = sample_calls(self.key, self._passes, tuple(decided.shape), self.rate)
        return [row.nonzero().flatten() for row in sample.to(decided.device) & decided]

    def add(self, sampled: int, agreed: int) -> None:
        """Count a completed pass; the next one draws anew."""
        self._passes += 1
        self.sampled += sampled
        self.agreed += agreed

    def result(self) -> dict[str, Any]:
        """Agreement of the table's first expert with the router's.

        Returns:
            `rate`, `sampled`, `agreed`, `agreement` (None without a sample), `interval` (two
            bounds) and its `width`.
        """
        low, high = clopper_pearson(self.agreed, self.sampled)
        return {
            "rate": self.rate,
            "sampled": self.sampled,
            "agreed": self.agreed,
            "agreement": self.agreed / self.sampled if self.sampled else None,
            "interval": [low, high],
            "width": high - low,
        }
