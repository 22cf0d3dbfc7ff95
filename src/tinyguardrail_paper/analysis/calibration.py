"""What calibration on validation rows is worth there and on test rows.

Validation rows chose the temperature and the threshold, so their values say how well the
fit went, and those of test rows what it promises for other texts.
"""

from dataclasses import replace

import numpy as np

from tinyguardrail.data.records import NO_TRANSFORM
from tinyguardrail_common.statistics.significance import ParentBootstrap
from tinyguardrail_paper.analysis.metrics import metric
from tinyguardrail_paper.analysis.metrics.metric import Sample
from tinyguardrail_paper.analysis.routing import Decisions, answers
from tinyguardrail_paper.analysis.row_means import row_mean
from tinyguardrail_paper.analysis.scores import Scores
from tinyguardrail_paper.analysis.summary import Summary, over_seeds

SPLITS = ("validation", "test")


def evaluate_calibration(
    scores: Scores, decisions: Decisions, bootstrap: ParentBootstrap, bins: int
) -> dict[str, Summary]:
    """Fitted values, calibration error before and after, and false-positive rates of benign rows."""
    return evaluate_threshold(scores, decisions) | _errors(scores, decisions, bootstrap, bins)


def evaluate_threshold(scores: Scores, decisions: Decisions) -> dict[str, Summary]:
    """Temperature and blocking threshold of a policy, and what the latter makes of benign rows."""
    count = int(scores.whole_split("validation").sum())
    benign = int(np.sum(scores.split("validation") & ~scores.threat))
    return {
        "temperature": over_seeds(decisions.temperature, count, scores.seeds, "factor"),
        "block_threshold": over_seeds(decisions.block_threshold, benign, scores.seeds, "probability"),
        **_false_positive_rates(scores, decisions),
    }


def _errors(
    scores: Scores, decisions: Decisions, bootstrap: ParentBootstrap, bins: int
) -> dict[str, Summary]:
    """Expected calibration error of all rows of a split: `raw` at temperature 1, the other as fitted.

    A temperature changes no row's most probable class, so both judge the same predictions.
    """
    raw = replace(decisions, probabilities=answers(scores, decisions.deep))
    found = {}
    for split in SPLITS:
        rows = np.flatnonzero(scores.split(split))
        for name, stated in ((f"{split}_raw_ece", raw), (f"{split}_ece", decisions)):
            found[name] = metric("ece").measure(Sample(rows, scores, stated, bootstrap, bins))
    return found


def _false_positive_rates(scores: Scores, decisions: Decisions) -> dict[str, Summary]:
    """Share of benign rows blocked: all of a split, and plain and obfuscated ones apart."""
    plain, found = scores.rows["transform"] == NO_TRANSFORM, {}
    for split in SPLITS:
        benign = scores.split(split) & ~scores.threat
        groups = {"": benign, "plain_": benign & plain, "obfuscated_": benign & ~plain}
        for prefix, rows in groups.items():
            if rows.any():
                name = f"{split}_{prefix}false_positive_rate"
                found[name] = row_mean(scores, decisions.blocked, np.flatnonzero(rows))
    return found
