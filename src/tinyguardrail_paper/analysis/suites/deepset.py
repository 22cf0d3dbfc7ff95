"""deepset: questions and injections."""

from tinyguardrail_paper.analysis.metrics.metric import BOTH
from tinyguardrail_paper.analysis.suites.benchmark import Benchmark

SUITES = (Benchmark("deepset", "deepset", "deepset", "question|injection", BOTH),)
