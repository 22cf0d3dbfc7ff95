"""What the audit of a sample is worth: the width of its interval, and how often that covers the truth.

The audit of a whole run (every bypassed call put to the router) gives the true agreement;
draws from it tell how often the interval of a sample covers that, which one sample cannot.
"""

from typing import Any

import numpy as np

from var_moe.evaluation.arms import VAR_ARM
from var_moe.evaluation.quality import losses_of
from var_moe.params import VarEval
from var_moe.reference.corpus import Stream
from var_moe.routing.audit import clopper_pearson
from var_moe.routing.table import RoutingTable
from var_moe.routing.wrapper import VARMixtralWrapper

RATE, DRAWS, DRAW_SEED = 0.02, 1000, 0


def audit_record(
    model: Any, table: RoutingTable, text: Stream, settings: VarEval, key: bytes = b"var_eval"
) -> dict[str, Any]:
    """The audit at 2% of one text, and the coverage of its interval over 1,000 draws.

    Returns:
        The fields of `Audit.result`, `interval_width`, `true_agreement` and `coverage`.
    """
    found = {}
    for rate in (RATE, 1.0):
        wrapper = VARMixtralWrapper(model, table, audit_rate=rate, audit_key=key)
        losses_of(wrapper, VAR_ARM, text, settings)
        found[rate] = wrapper.audit_result()
    sample, whole = found[RATE], found[1.0]
    return {
        **sample,
        "interval_width": sample["width"],
        "true_agreement": whole["agreement"],
        "coverage": coverage(whole["agreed"], whole["sampled"]),
    }


def coverage(agreed: int, calls: int, rate: float = RATE, draws: int = DRAWS) -> float:
    """Share of independent samples of `calls` whose interval holds the true agreement."""
    generator = np.random.default_rng(DRAW_SEED)
    hits = generator.binomial(agreed, rate, draws)
    misses = generator.binomial(calls - agreed, rate, draws)
    bounds = [clopper_pearson(int(hit), int(hit + miss)) for hit, miss in zip(hits, misses, strict=True)]
    return float(np.mean([low <= agreed / calls <= high for low, high in bounds]))
