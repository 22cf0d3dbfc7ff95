"""The public benchmarks: which rows of which source each of them is.

Only the full scale has such rows. They are chosen by source *and* family, as the loaders write
both, because a source also gives the texts of compositions and disguises, which keep its name.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

import numpy as np

from tinyguardrail.data.records import NO_TRANSFORM


@dataclass(frozen=True)
class Benchmark:
    """One public test set.

    Attributes:
        name: of the test in `results/metrics.json`.
        source: row of the registry.
        family: pattern that the whole family must match.
        side: what its rows are, and so what can be measured: a recall, a false-positive rate, or all.
    """

    name: str
    source: str
    family: str
    side: Literal["threats", "benign", "both"]

    def members(self, rows: dict[str, np.ndarray]) -> np.ndarray:
        """(N,) bool: its untransformed rows, of any split."""
        own = (rows["source"] == self.source) & (rows["transform"] == NO_TRANSFORM)
        families = [name for name in set(rows["family"][own]) if re.fullmatch(self.family, name)]
        return own & np.isin(rows["family"].astype(str), families)


POOLED_JAILBREAKS = "jbb_methods"
BENCHMARKS = (
    Benchmark("notinject", "notinject", "notinject_.+", "benign"),
    # Without the prompts that also stand in the validation set PIGuard was tuned on.
    Benchmark("notinject_291", "notinject", "notinject_.+(?<!_in_piguard_validation)", "benign"),
    Benchmark("wildguard_benign", "wildguard_benign", "wildguard_benign", "benign"),
    Benchmark("bipia", "bipia", "bipia_[a-z]+", "threats"),
    Benchmark("bipia_clean", "bipia", "bipia_[a-z]+_(clean|question)", "benign"),
    Benchmark("toxic_chat", "toxic_chat", "chat|toxic|in_chat_jailbreak", "both"),
    Benchmark("deepset", "deepset", "question|injection", "both"),
    Benchmark("jbb_pair", "jbb_artifacts", "pair", "threats"),
    Benchmark("jbb_gcg", "jbb_artifacts", "gcg", "threats"),
    Benchmark("jbb_jbc", "jbb_artifacts", "jbc", "threats"),
    Benchmark("jbb_dsn", "jbb_artifacts", "dsn", "threats"),
    Benchmark("jbb_random_search", "jbb_artifacts", "random_search", "threats"),
    # Pooled: a method with more prompts counts for more. All prompts of one goal share a parent.
    Benchmark(POOLED_JAILBREAKS, "jbb_artifacts", "pair|gcg|jbc|dsn|random_search", "threats"),
    Benchmark("jbb_behaviors", "jbb_behaviors", "plain_request|jbb_benign", "both"),
    Benchmark("advbench", "advbench", "plain_request", "threats"),
    Benchmark("strongreject", "strongreject", "plain_request", "threats"),
    Benchmark("malicious_instruct", "malicious_instruct", "plain_request", "threats"),
)

# Public requests that are disguised in the test split beside the authored ones; a disguised row
# keeps its source. `<transform>_advbench` are the tests on these alone.
DISGUISED = "advbench"
