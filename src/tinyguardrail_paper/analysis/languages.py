"""Authored text in other languages beside authored English, untransformed test rows."""

import numpy as np

from tinyguardrail_paper.analysis.intervals import bootstrap_interval
from tinyguardrail_paper.analysis.metrics.metric import Sample
from tinyguardrail_paper.analysis.row_means import row_mean, weighted_mean
from tinyguardrail_paper.analysis.suites.authored import is_authored
from tinyguardrail_paper.analysis.summary import Summary, over_texts

TEST = "other_languages"  # in `results/metrics.json`
ENGLISH = "en"


def evaluate_languages(sample: Sample) -> dict[str, Summary]:
    """`recall` and `false_positive_rate` of other languages, of English as `english_...`, and their gaps.

    `..._gap_to_english` is the other languages' rate less that of English. What has no rows is left out.
    """
    scores = sample.scores
    own = scores.split("test") & is_authored(scores)
    english, found = scores.rows["language"] == ENGLISH, {}
    for name, side in (("recall", scores.threat), ("false_positive_rate", ~scores.threat)):
        others, ours = (np.flatnonzero(own & side & language) for language in (~english, english))
        if len(others) and len(ours):
            found |= {
                name: row_mean(scores, sample.decisions.blocked, others),
                f"english_{name}": row_mean(scores, sample.decisions.blocked, ours),
                f"{name}_gap_to_english": _gap(sample, others, ours),
            }
    return found


def _gap(sample: Sample, others: np.ndarray, ours: np.ndarray) -> Summary:
    blocked = sample.decisions.blocked.astype(float)
    values = blocked[:, others].mean(axis=1) - blocked[:, ours].mean(axis=1)
    first, second = (
        weighted_mean(blocked[:, rows].mean(axis=0), sample.bootstrap.weights(rows))
        for rows in (others, ours)
    )
    interval = bootstrap_interval(first - second, values)
    return over_texts(values, interval, len(others), sample.scores.seeds, "points")
