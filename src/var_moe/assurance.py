"""What verification is worth and what it costs: the audit's width and coverage, and the time of the log.

The audit of a whole run (every bypassed call put to the router) gives the true agreement;
draws from it tell how often the interval of a sample covers that, which one sample cannot.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch

from var_moe.arms import VAR_ARM, running
from var_moe.audit import clopper_pearson
from var_moe.corpus import Stream
from var_moe.evaluation import WindowSettings, losses_of
from var_moe.table import RoutingTable
from var_moe.timing import speedup, time_arms
from var_moe.workloads import Workload
from var_moe.wrapper import VARMixtralWrapper

RATE, DRAWS, DRAW_SEED = 0.02, 1000, 0


def audit_record(
    model: Any, table: RoutingTable, text: Stream, settings: WindowSettings, key: bytes = b"var_eval"
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
    covered = coverage(whole["agreed"], whole["sampled"])
    width = {"interval_width": sample["width"], "true_agreement": whole["agreement"]}
    return sample | width | {"coverage": covered}


def coverage(agreed: int, calls: int, rate: float = RATE, draws: int = DRAWS) -> float:
    """Share of independent samples of `calls` whose interval holds the true agreement."""
    generator = np.random.default_rng(DRAW_SEED)
    hits = generator.binomial(agreed, rate, draws)
    misses = generator.binomial(calls - agreed, rate, draws)
    bounds = [clopper_pearson(int(hit), int(hit + miss)) for hit, miss in zip(hits, misses, strict=True)]
    return float(np.mean([low <= agreed / calls <= high for low, high in bounds]))


def tracking_overhead(model: Any, table: RoutingTable, workload: Workload, repeats: int) -> float:
    """Share of time that counting calls and writing the log add to VAR without either."""
    plain = table.config.model_copy(update={"track_performance": False, "enable_var": False})
    tracked = table.config.model_copy(update={"track_performance": True, "enable_var": False})
    before = torch.get_num_threads()
    torch.set_num_threads(workload.threads)
    try:
        with tempfile.TemporaryDirectory() as folder:
            logged = VARMixtralWrapper(model, table, tracked, log_path=Path(folder) / "log")
            wrappers = {"plain": VARMixtralWrapper(model, table, plain), "tracked": logged}
            arms = {name: lambda each=each: running(each, VAR_ARM) for name, each in wrappers.items()}
            seconds = time_arms(arms, lambda: workload.seconds(model), repeats, 1, "tracking")
            logged.close()
    finally:
        torch.set_num_threads(before)
    return speedup(seconds["tracked"], seconds["plain"])["median"] - 1
