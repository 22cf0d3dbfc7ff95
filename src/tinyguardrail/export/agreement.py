"""What rounding to INT8 changes in the verdicts that users get."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from tinyguardrail.data.labels import BENIGN
from tinyguardrail.data.macro_f1 import macro_f1
from tinyguardrail.data.records import Record
from tinyguardrail.runtime.guard import Guard
from tinyguardrail.runtime.threshold import blocking_threshold


def compare_precisions(
    fp32: Guard, int8: Guard, validation: Sequence[Record], test: Sequence[Record], target: float
) -> dict[str, Any]:
    """Score the test rows with both guards as users do, routed.

    Args:
        fp32, int8: the same guard in two precisions.
        validation: its benign rows fix the blocking threshold, for both guards, with INT8 scores.
        test: rows to compare on.
        target: false-positive rate of the threshold.

    Returns:
        macro_f1_fp32, macro_f1_int8; intent_agreement and verdict_agreement, shares of rows with
        the same intent, and blocked or passed alike; and the blocking_threshold.
    """
    benign = [row.text for row in validation if row.label == BENIGN]
    threshold = blocking_threshold(1 - int8.score(benign).probabilities[:, 0], target)
    texts = [row.text for row in test]
    exact, rounded = (guard.score(texts).probabilities for guard in (fp32, int8))
    truth = np.array([int8.intents.index(row.intent) for row in test])
    blocked = [1 - each[:, 0] >= threshold for each in (exact, rounded)]
    return {
        "rows": len(test),
        "macro_f1_fp32": macro_f1(truth, exact.argmax(-1)),
        "macro_f1_int8": macro_f1(truth, rounded.argmax(-1)),
        "intent_agreement": float((exact.argmax(-1) == rounded.argmax(-1)).mean()),
        "verdict_agreement": float((blocked[0] == blocked[1]).mean()),
        "blocking_threshold": threshold,
    }
