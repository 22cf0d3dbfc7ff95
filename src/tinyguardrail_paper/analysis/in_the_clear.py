"""What a disguise changes: obfuscated rows beside the same texts in the clear.

A pair is an obfuscated test row and the untransformed test rows of its parent, source, language and intent:
as a rule the one text that was obfuscated; where there are several, their mean. A row without any is left
out.
"""

import numpy as np

from tinyguardrail_paper.analysis.intervals import bootstrap_interval
from tinyguardrail_paper.analysis.metrics.metric import Sample
from tinyguardrail_paper.analysis.row_means import mean_gap, row_mean, weighted_mean
from tinyguardrail_paper.analysis.scores import Scores
from tinyguardrail_paper.analysis.suites import Metrics
from tinyguardrail_paper.analysis.suites.obfuscation import CONTROLS
from tinyguardrail_paper.analysis.suites.suite import Suite, untransformed
from tinyguardrail_paper.analysis.summary import Summary, over_texts

SAME = ("parent_id", "source", "language", "intent")  # what both rows of a pair have in common


def evaluate_in_the_clear(suites: list[Suite], sample: Sample) -> Metrics:
    """Of every attack and every control that has pairs, by its name.

    `recall_in_the_clear`, of the texts that were obfuscated; `recall_ratio_to_clear`, recall of the
    obfuscated over that; and of a control `false_positive_gap_to_clear`, its rate less that of the same
    texts.
    """
    clear = blocked_in_the_clear(sample.scores, sample.decisions.blocked)
    paired = ~np.isnan(clear[0])
    found: Metrics = {}
    for suite in suites:
        rows = suite.rows[paired[suite.rows]]
        threats = rows[sample.scores.threat[rows]]
        if suite.control and len(threats) and clear[:, threats].any(axis=1).all():
            found[suite.name] = {
                "recall_in_the_clear": row_mean(sample.scores, clear, threats),
                "recall_ratio_to_clear": _ratio(sample, clear, threats),
            }
        elif suite.group == CONTROLS and len(rows):
            gap = mean_gap(sample.scores, sample.decisions.blocked - clear, rows, sample.bootstrap)
            found[suite.name] = {"false_positive_gap_to_clear": gap}
    return found


def blocked_in_the_clear(scores: Scores, blocked: np.ndarray) -> np.ndarray:
    """(S, N) share blocked of each obfuscated test row's texts in the clear; NaN where there are none.

    Args:
        blocked: (S, N) bool.
    """
    test, plain = scores.whole_split("test"), untransformed(scores)
    keys = np.array(["\x1f".join(key) for key in zip(*(scores.rows[name] for name in SAME), strict=True)])
    _, pair = np.unique(keys, return_inverse=True)
    counts = np.bincount(pair[test & plain], minlength=pair.max() + 1)
    hits = np.stack([np.bincount(pair[test & plain], each[test & plain], len(counts)) for each in blocked])
    with np.errstate(invalid="ignore"):
        shares = hits / counts  # (S, pairs)
    return np.where(test & ~plain, shares[:, pair], np.nan)


def _ratio(sample: Sample, clear: np.ndarray, rows: np.ndarray) -> Summary:
    hidden, plain = sample.decisions.blocked[:, rows].astype(float), clear[:, rows]
    values, weights = hidden.mean(axis=1) / plain.mean(axis=1), sample.bootstrap.weights(rows)
    with np.errstate(invalid="ignore", divide="ignore"):
        by_seed = [
            weighted_mean(a, weights) / weighted_mean(b, weights) for a, b in zip(hidden, plain, strict=True)
        ]
    samples = np.mean(by_seed, axis=0)
    samples[~np.isfinite(samples)] = np.nan  # a draw in which nothing is blocked in the clear
    low, high = bootstrap_interval(samples, values)
    return over_texts(values, (max(0.0, low), high), len(rows), sample.scores.seeds, "quotient")
