"""Baselines with a multinomial logistic regression over intents: on TF-IDF, and on a frozen encoder."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import FeatureUnion
from threadpoolctl import threadpool_limits

from tinyguardrail.data.labels import INTENTS
from tinyguardrail.data.sampling import evenly_spaced_sample
from tinyguardrail.model.encoders import load_encoder
from tinyguardrail_paper.experiments.baselines.encoder import MeanPooled
from tinyguardrail_paper.experiments.baselines.rows import ENCODER, Classifier, Training
from tinyguardrail_paper.experiments.baselines.windows import Window

MOST_ITERATIONS = 1000


def train_tfidf(training: Training) -> Classifier:
    """Words and pairs of words, and two to five characters within words, each in its own TF-IDF."""
    settings = training.settings
    vectorizer = FeatureUnion(
        [
            ("words", _tfidf("word", (1, 2), settings.tfidf_words)),
            ("characters", _tfidf("char_wb", (2, 5), settings.tfidf_characters)),
        ]
    )
    examples = training.every_example
    features = vectorizer.fit_transform([window.piece for window in examples.windows])
    classify = _regression(features, examples.labels, settings.tfidf_inverse_penalty, training)
    weights = features.shape[1]  # a frequency of each n-gram, beside what the regression makes of it
    return Classifier(
        lambda windows: classify.probabilities(vectorizer.transform([window.piece for window in windows])),
        classify.parameters + weights,
    )


def train_frozen(training: Training) -> Classifier:
    """The vectors of MiniLM, of length one as it was trained to be compared; its weights do not change."""
    encoder = MeanPooled(load_encoder(ENCODER)[0]).to(training.reader.device)

    def vectors(windows: Sequence[Window]) -> np.ndarray:
        found = training.reader.run_all(encoder, windows, "frozen encoder")
        return found / np.linalg.norm(found, axis=1, keepdims=True)

    examples = training.every_example
    chosen = evenly_spaced_sample(range(len(examples.labels)), training.settings.frozen_rows)
    features = vectors([examples.windows[row] for row in chosen])
    classify = _regression(
        features, examples.labels[chosen], training.settings.frozen_inverse_penalty, training
    )
    frozen = sum(each.numel() for each in encoder.parameters())
    return Classifier(lambda windows: classify.probabilities(vectors(windows)), classify.parameters + frozen)


def _tfidf(analyzer: str, lengths: tuple[int, int], most: int) -> TfidfVectorizer:
    return TfidfVectorizer(
        analyzer=analyzer, ngram_range=lengths, max_features=most, sublinear_tf=True, dtype=np.float32
    )


def _regression(features: Any, labels: np.ndarray, inverse_penalty: float, training: Training) -> Classifier:
    """Of features instead of windows; an intent without a row gets no probability."""
    model = LogisticRegression(C=inverse_penalty, max_iter=MOST_ITERATIONS)
    with threadpool_limits(training.threads):
        model.fit(features, labels)

    def probabilities(features: Any) -> np.ndarray:
        found = np.zeros((features.shape[0], len(INTENTS)))
        with threadpool_limits(training.threads):
            found[:, model.classes_] = model.predict_proba(features)
        return found

    return Classifier(probabilities, model.coef_.size + model.intercept_.size)
