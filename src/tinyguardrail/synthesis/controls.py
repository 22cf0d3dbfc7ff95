"""Shortcuts: how well an attack can be told from benign text without reading it.

Each control is fitted on a sample of training rows and measured on a sample of validation rows,
as the area under the ROC curve of threat against benign. A control far above 0.5 is something a
model can learn in place of the task.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MaxAbsScaler

from tinyguardrail.data.labels import BENIGN
from tinyguardrail.data.records import NO_TRANSFORM, Record

CONTROL_SPLITS = ("train", "validation")
FIRST_CHARACTERS = 1000  # of a text, for the bag of characters


def shortcut_controls(samples: Mapping[str, Sequence[Record]]) -> dict[str, Any]:
    """AUC of each control, over all rows, over untransformed rows, and over obfuscated rows."""
    found: dict[str, Any] = {}
    for name, wanted in {
        "all": lambda record: True,
        "untransformed": lambda record: record.transform == NO_TRANSFORM,
        "obfuscated": lambda record: record.transform != NO_TRANSFORM,
    }.items():
        fitted, measured = (list(filter(wanted, samples[split])) for split in CONTROL_SPLITS)
        if all(len({record.label == BENIGN for record in rows}) == 2 for rows in (fitted, measured)):
            found[name] = _controls(fitted, measured)
    return found


def _controls(fitted: Sequence[Record], measured: Sequence[Record]) -> dict[str, Any]:
    truth = _threats(measured)
    return {
        "rows_fitted": len(fitted),
        "rows_measured": len(measured),
        "length_auc": _auc(truth, _length_scores(fitted, measured)),
        "language_auc": _auc(truth, _share_scores(fitted, measured, "language")),
        "source_auc": _auc(truth, _share_scores(fitted, measured, "source")),
        "bag_of_characters_auc": _auc(truth, _character_scores(fitted, measured)),
    }


def _threats(records: Sequence[Record]) -> np.ndarray:
    return np.array([record.label != BENIGN for record in records])


def _auc(truth: np.ndarray, scores: np.ndarray) -> float:
    return round(float(roc_auc_score(truth, scores)), 4)


def _length_scores(fitted: Sequence[Record], measured: Sequence[Record]) -> np.ndarray:
    """Boosted trees on the number of characters: any shape of dependence on length."""
    model = HistGradientBoostingClassifier(max_leaf_nodes=15, max_iter=100, random_state=0)
    train, test = (np.log([[len(record.text)] for record in rows]) for rows in (fitted, measured))
    return model.fit(train, _threats(fitted)).predict_proba(test)[:, 1]


def _share_scores(fitted: Sequence[Record], measured: Sequence[Record], column: str) -> np.ndarray:
    """The share of threats among the training rows of the same value, one row of each kind added."""
    totals: dict[str, list[int]] = {}
    for record in fitted:
        counts = totals.setdefault(getattr(record, column), [1, 2])
        counts[0] += record.label != BENIGN
        counts[1] += 1
    shares = {value: threats / rows for value, (threats, rows) in totals.items()}
    return np.array([shares.get(getattr(record, column), 0.5) for record in measured])


def _character_scores(fitted: Sequence[Record], measured: Sequence[Record]) -> np.ndarray:
    """Logistic regression on character counts, order and length of the text left out."""
    vectorizer = CountVectorizer(analyzer="char", lowercase=False, min_df=3)
    model = make_pipeline(vectorizer, MaxAbsScaler(), LogisticRegression(max_iter=300))
    train, test = ([record.text[:FIRST_CHARACTERS] for record in rows] for rows in (fitted, measured))
    return model.fit(train, _threats(fitted)).predict_proba(test)[:, 1]
