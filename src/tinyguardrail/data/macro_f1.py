"""How well classes are told apart, as training, export and the paper measure it."""

import numpy as np
from sklearn.metrics import f1_score


def macro_f1(actual: np.ndarray, predicted: np.ndarray) -> float:
    """Mean F1 over the classes that occur in `actual`: an absent class has no recall to average."""
    return float(f1_score(actual, predicted, labels=np.unique(actual), average="macro", zero_division=0))
