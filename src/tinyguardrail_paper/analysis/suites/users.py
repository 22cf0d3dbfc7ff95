"""What users write who mean no harm, from sources held out whole: none of it is an injection.

Imperatives alone alarm a guard that was trained on too few of them.
"""

from tinyguardrail_paper.analysis.metrics.metric import BENIGN
from tinyguardrail_paper.analysis.suites.benchmark import Benchmark

SUITES = (
    Benchmark("customers", "customers' turns", "bfcl|mtbench101", "tool_request|multi_turn", BENIGN),
    Benchmark("coding_tasks", "coding tasks", "arena_hard", "arena_coding", BENIGN),
    Benchmark(
        "system_prompts", "system prompts", "cursorrules|biggen_bench", "coding_rules|system_prompt", BENIGN
    ),
    Benchmark("exams", "exam questions", "exams_test", "exam_question", BENIGN),
)
