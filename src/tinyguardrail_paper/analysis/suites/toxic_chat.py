"""ToxicChat: what people wrote to a public demo; rude text counts as benign."""

from tinyguardrail_paper.analysis.metrics.metric import BOTH
from tinyguardrail_paper.analysis.suites.benchmark import Benchmark

SUITES = (Benchmark("toxic_chat", "ToxicChat", "toxic_chat", "chat|toxic|in_chat_jailbreak", BOTH),)
