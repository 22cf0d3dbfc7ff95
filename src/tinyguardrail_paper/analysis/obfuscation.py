"""How often an obfuscation is detected and identified before a text is judged, and how often in plain text.

What is detected does not depend on the model that judges, so it is the same for every seed.
"""

import numpy as np

from tinyguardrail.data.records import NO_TRANSFORM
from tinyguardrail_paper.analysis.row_means import row_mean
from tinyguardrail_paper.analysis.scores import Scores
from tinyguardrail_paper.analysis.summary import Summary

NOTHING = "none"


def evaluate_obfuscation(scores: Scores) -> dict[str, Summary]:
    """Shares of test rows, threats and controls together.

    `detected_<family>`: an obfuscation of any family was undone; `identified_<family>`: of the right one;
    `detected_in_plain`: of untransformed rows, those that were changed.
    """
    rows = scores.rows
    seeds = len(scores.seeds)
    detected = np.tile(rows["found_family"] != NOTHING, (seeds, 1))
    identified = np.tile(rows["found_family"] == rows["family"], (seeds, 1))
    test, plain = scores.split("test"), rows["transform"] == NO_TRANSFORM
    shares: dict[str, Summary] = {}
    for family in sorted(set(rows["family"][test & ~plain])):
        own = np.flatnonzero(test & ~plain & (rows["family"] == family))
        shares[f"detected_{family}"] = row_mean(scores, detected, own)
        shares[f"identified_{family}"] = row_mean(scores, identified, own)
    if np.any(test & plain):
        shares["detected_in_plain"] = row_mean(scores, detected, np.flatnonzero(test & plain))
    return shares
