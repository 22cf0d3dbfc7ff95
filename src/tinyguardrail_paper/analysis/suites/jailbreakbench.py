"""JailbreakBench: jailbreaks of five methods, and its goals beside their benign counterparts."""

from tinyguardrail_paper.analysis.metrics.metric import BOTH, POOLED, THREATS
from tinyguardrail_paper.analysis.suites.benchmark import Benchmark

METHODS = {"pair": "PAIR", "gcg": "GCG", "jbc": "JBC", "dsn": "DSN", "random_search": "random search"}
SUITES = (
    *(
        Benchmark(f"jbb_{method}", f"JailbreakBench, {title}", "jbb_artifacts", method, THREATS)
        for method, title in METHODS.items()
    ),
    # Pooled: a method with more prompts counts for more. All prompts of one goal share a parent.
    Benchmark("jbb_methods", "JailbreakBench, five methods", "jbb_artifacts", "|".join(METHODS), POOLED),
    Benchmark(
        "jbb_behaviors",
        "JailbreakBench, goals and matched controls",
        "jbb_behaviors",
        "plain_request|jbb_benign",
        BOTH,
    ),
)
