"""Plain harmful requests; those of AdvBench are what the attacks also obfuscate in the test split."""

from tinyguardrail_paper.analysis.metrics.metric import THREATS
from tinyguardrail_paper.analysis.suites.benchmark import Benchmark

ADVBENCH = Benchmark("advbench", "AdvBench", "advbench", "plain_request", THREATS)
SUITES = (
    ADVBENCH,
    Benchmark("strongreject", "StrongREJECT", "strongreject", "plain_request", THREATS),
    Benchmark("malicious_instruct", "MaliciousInstruct", "malicious_instruct", "plain_request", THREATS),
)
