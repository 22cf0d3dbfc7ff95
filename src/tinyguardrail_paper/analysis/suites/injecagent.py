"""InjecAgent: outputs of an agent's tools with a planted instruction, and clean ones."""

from tinyguardrail_paper.analysis.metrics.metric import BENIGN, THREATS
from tinyguardrail_paper.analysis.suites.benchmark import Benchmark

PLANTED, CLEAN = "injecagent_d[hs](_enhanced)?", "injecagent_clean(_twin)?"
SUITES = (
    Benchmark("injecagent", "InjecAgent, planted tool outputs", "injecagent", PLANTED, THREATS),
    Benchmark("injecagent_clean", "InjecAgent, clean tool outputs", "injecagent", CLEAN, BENIGN),
)
