"""BIPIA: contexts with a planted instruction, and the same ones clean or with an honest question.

PIGuard (2410.22770) takes its payloads alone, not a context that holds one, and averages malicious
accuracy over PINT, which is handed out on request, and this.
"""

from tinyguardrail_paper.analysis.metrics.metric import BENIGN, THREATS
from tinyguardrail_paper.analysis.suites.benchmark import Benchmark, Published

OTHERS = Published(
    {"PIGuard": 0.774, "GPT-4o": 0.791, "ProtectAI v2": 0.486}, "bare payloads, mean with PINT"
)
SUITES = (
    Benchmark("bipia", "BIPIA, planted instructions", "bipia", "bipia_[a-z]+", THREATS, {"recall": OTHERS}),
    Benchmark("bipia_clean", "BIPIA, clean or honest", "bipia", "bipia_[a-z]+_(clean|question)", BENIGN),
)
