"""NotInject: benign prompts with trigger words. Accuracies of others: PIGuard (2410.22770), main table."""

from tinyguardrail_paper.analysis.metrics.metric import BENIGN
from tinyguardrail_paper.analysis.suites.benchmark import Benchmark, Published

OTHERS = Published({"PIGuard": 0.873, "GPT-4o": 0.867, "ProtectAI v2": 0.572})
# Without the prompts that also stand in the validation set PIGuard was tuned on.
UNSEEN = "notinject_.+(?<!_in_piguard_validation)"

SUITES = (
    Benchmark("notinject", "NotInject", "notinject", "notinject_.+", BENIGN, {"false_positive_rate": OTHERS}),
    Benchmark("notinject_291", "NotInject, unseen by PIGuard", "notinject", UNSEEN, BENIGN),
)
