"""Quality of labels, as training, export and the paper measure it."""

import numpy as np
from sklearn.metrics import f1_score


def macro_f1(label: np.ndarray, predicted: np.ndarray) -> float:
    """Mean F1 over the classes that occur in `label`: an absent class has no recall to average."""
    return float(f1_score(label, predicted, labels=np.unique(label), average="macro", zero_division=0))
