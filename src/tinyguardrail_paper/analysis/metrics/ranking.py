"""How threats and benign rows are ranked, whatever the threshold: AUC and points of the ROC curve.

`threat` is the truth, (n,) bool; `score` the policy's, (n,); `weights` are
(B, n). The weighted forms return (B,) values and equal scikit-learn's at unit weights.
"""

from typing import NamedTuple

import numpy as np
from sklearn.metrics import roc_auc_score, roc_curve

from tinyguardrail_paper.analysis.metrics.metric import ATTACKS, BOTH, Statistic
from tinyguardrail_paper.analysis.row_means import weighted_mean


def auc(threat: np.ndarray, score: np.ndarray) -> float:
    """Area under the ROC curve: chance that a threat outranks a benign row, ties a half."""
    return float(roc_auc_score(threat, score))


def weighted_auc(threat: np.ndarray, score: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Weighted area under the ROC curve with ties counted a half."""
    threats, benign = _side(threat, score, weights), _side(~threat, score, weights)
    own = np.diff(threats.share, axis=1, prepend=0)
    above = benign.at(threats.scores, ties=False) + benign.at(threats.scores, ties=True)
    return 1 - np.sum(own * above, axis=1, dtype=np.float64) / 2


def auc_from_placements(threat: np.ndarray, placements: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Area under the ROC curve to first order around its value at unit weights.

    Args:
        placements: as in `significance.placements`, or their mean over seeds and draws, (n,).
            Unlike ranks they can be averaged, so one call serves any number of score columns.
    """
    sides = (weighted_mean(placements[side], weights[:, side]) for side in (threat, ~threat))
    return sum(sides) - placements[threat].mean()


def tpr_at_fpr(threat: np.ndarray, score: np.ndarray, limit: float) -> float:
    """Highest recall of any threshold on these rows whose false-positive rate is <= `limit`."""
    fpr, tpr, _ = roc_curve(threat, score, drop_intermediate=False)
    return float(tpr[fpr <= limit].max())


def weighted_tpr_at_fpr(
    threat: np.ndarray, score: np.ndarray, weights: np.ndarray, limit: float | np.ndarray
) -> np.ndarray:
    """`limit` may differ from sample to sample, (B, 1)."""
    threats, benign = _side(threat, score, weights), _side(~threat, score, weights)
    exceeds = benign.share > limit
    first = exceeds.argmax(axis=1)  # the highest benign score that would be blocked with too many
    best = threats.one_each(np.searchsorted(-threats.scores, -benign.scores)[first])
    best = np.where(exceeds[:, -1], best, 1.0)
    return np.where(np.isnan(benign.share[:, -1] + threats.share[:, -1]), np.nan, best)


def fpr_at_recall(threat: np.ndarray, score: np.ndarray, target: float) -> float:
    """Lowest false-positive rate of any threshold on these rows whose recall is >= `target`."""
    fpr, tpr, _ = roc_curve(threat, score, drop_intermediate=False)
    return float(fpr[tpr >= target].min())


def weighted_fpr_at_recall(
    threat: np.ndarray, score: np.ndarray, weights: np.ndarray, target: float
) -> np.ndarray:
    threats, benign = _side(threat, score, weights), _side(~threat, score, weights)
    first = (threats.share >= target - 1e-6).argmax(axis=1)
    best = benign.one_each(np.searchsorted(-benign.scores, -threats.scores, side="right")[first])
    return np.where(np.isnan(benign.share[:, -1] + threats.share[:, -1]), np.nan, best)


class _Side(NamedTuple):
    """Threats or benign rows in B samples, from the highest score down; D = distinct scores.

    Attributes:
        scores: (D,), falling.
        share: of the side's weight at or above each of them, (B, D); NaN in a sample without the side.
    """

    scores: np.ndarray
    share: np.ndarray

    def at(self, scores: np.ndarray, ties: bool) -> np.ndarray:
        """Share above each of `scores`, (m,), or at and above it where ties count, (B, m)."""
        counts = np.searchsorted(-self.scores, -scores, side="right" if ties else "left")
        return np.where(counts > 0, self.share[:, counts - 1], 0)

    def one_each(self, counts: np.ndarray) -> np.ndarray:
        """Share with the highest `counts` distinct scores of each sample, (B,)."""
        found = np.take_along_axis(self.share, np.maximum(counts - 1, 0)[:, None], axis=1)[:, 0]
        return np.where(counts > 0, found, 0)


def _side(rows: np.ndarray, score: np.ndarray, weights: np.ndarray) -> _Side:
    places = np.flatnonzero(rows)
    places = places[np.argsort(-score[places], kind="stable")]
    falling = score[places]
    last_of_tie = np.append(np.nonzero(np.diff(falling))[0], len(places) - 1)
    total = np.cumsum(weights[:, places], axis=1)
    total = total if len(last_of_tie) == len(places) else total[:, last_of_tie]
    with np.errstate(invalid="ignore"):
        return _Side(falling[last_of_tie], total / total[:, -1:])


def _tpr_at(percent: str, least_benign: int, kinds: frozenset[str] = frozenset({BOTH})) -> Statistic:
    """A rate of 1% of fewer than 100 benign rows is a rate of 0: the metric would claim a resolution
    that the rows do not have."""
    limit = float(percent) / 100
    return Statistic(
        name=f"tpr_at_{percent}pct_fpr",
        title=f"recall at {percent}% false positives",
        format="percent",
        kinds=kinds,
        least_threats=1,
        least_benign=least_benign,
        point=lambda rows: tpr_at_fpr(rows.threat, rows.score, limit),
        weighted=lambda rows, weights: weighted_tpr_at_fpr(rows.threat, rows.score, weights, limit),
    )


METRICS = (
    Statistic(
        name="auc",
        title="AUC",
        format="probability",
        kinds=frozenset({BOTH, ATTACKS}),
        least_threats=1,
        least_benign=1,
        point=lambda rows: auc(rows.threat, rows.score),
        weighted=lambda rows, weights: weighted_auc(rows.threat, rows.score, weights),
    ),
    _tpr_at("1", 100, frozenset({BOTH, ATTACKS})),
    _tpr_at("3", 100),
    _tpr_at("0.1", 1000),
    Statistic(
        name="fpr_at_95pct_recall",
        title="false positives at 95% recall",
        format="percent",
        least_threats=1,
        least_benign=1,
        point=lambda rows: fpr_at_recall(rows.threat, rows.score, 0.95),
        weighted=lambda rows, weights: weighted_fpr_at_recall(rows.threat, rows.score, weights, 0.95),
    ),
)
