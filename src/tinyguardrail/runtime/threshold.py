"""The blocking threshold, from benign texts alone; needs numpy only, so the command shares it."""

import math

import numpy as np

from tinyguardrail_common.errors import UserError


def blocking_threshold(benign_scores: np.ndarray, target: float) -> float:
    """Threat probability at or above which a text is blocked.

    The threshold lies just above the ceil((n + 1)(1 - target))-th smallest benign score
    (split conformal, Vovk et al. 2005): over draws of n validation rows, the expected
    false-positive rate on a fresh row of the same distribution is at most `target`.

    Raises:
        UserError: so few benign rows that no threshold can give that promise.
    """
    n = len(benign_scores)
    rank = math.ceil((n + 1) * (1 - target) - 1e-9)
    if rank > n:
        needed = math.ceil(1 / target - 1e-9) - 1
        raise UserError(
            f"{n} benign texts cannot fix a false-positive rate of {target}: at least {needed} are needed; "
            "raise the target (in the pipeline policies.*.false_positive_rate), or the number of texts "
            "(data.validation_fraction)"
        )
    return float(np.nextafter(np.partition(benign_scores, rank - 1)[rank - 1], np.inf))
