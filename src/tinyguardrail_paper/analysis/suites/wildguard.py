"""WildGuardTest's benign prompts. PIGuard (2410.22770) averages benign accuracy over PINT and another set."""

from tinyguardrail_paper.analysis.metrics.metric import BENIGN
from tinyguardrail_paper.analysis.suites.benchmark import Benchmark, Published

OTHERS = Published({"PIGuard": 0.857, "GPT-4o": 0.908, "ProtectAI v2": 0.862}, "mean with PINT")
SUITES = (
    Benchmark(
        "wildguard_benign",
        "WildGuardTest, benign",
        "wildguard_benign",
        "wildguard_benign",
        BENIGN,
        {"false_positive_rate": OTHERS},
    ),
)
