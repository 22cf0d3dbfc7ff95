"""How varied the authored corpus is, in figures a reader can hold against another corpus."""

from collections import Counter
from collections.abc import Sequence
from itertools import chain
from typing import Any

import numpy as np
from sklearn.cluster import KMeans
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.preprocessing import normalize

from tinyguardrail.data.records import Record
from tinyguardrail.synthesis.near_duplicates import JACCARD, fold_text, jaccard, shingles

TOPICS = 100
DIMENSIONS = 100
LOOSE_JACCARD = 0.5


def corpus_diversity(records: Sequence[Record]) -> dict[str, Any]:
    """Distinct n-grams, near-duplicate rates, spread of lengths, openings and topics.

    `distinct_*` are shares of word n-grams that are different from one another (Li et al. 2016,
    "distinct-n") over the texts of spaced scripts; `nearest_*` are shares of texts whose nearest
    other text has at least that Jaccard similarity of five-character shingles; `effective_topics`
    is the exponential of the entropy of the sizes of 100 clusters of the English texts.
    """
    texts = [record.text for record in records]
    words = [fold_text(text).split() for text in texts]
    english = [record.text for record in records if record.language == "en"]
    nearest = nearest_similarities(texts)
    openings = Counter(tuple(each[:3]) for each in words)
    return {
        "texts": len(texts),
        "languages": len({record.language for record in records}),
        "kinds": len({record.family for record in records}),
        "words": sum(map(len, words)),
        "distinct_words": len(set(chain.from_iterable(words))),
        **{f"distinct_{n}_grams": _distinct(words, n) for n in (1, 2, 3)},
        "nearest_over_0.5": round(float((nearest >= LOOSE_JACCARD).mean()), 4),
        "nearest_over_0.8": round(float((nearest >= JACCARD).mean()), 4),
        "most_common_opening_share": round(openings.most_common(1)[0][1] / len(texts), 4),
        "characters": length_percentiles([len(text) for text in texts]),
        "effective_topics": effective_topics(english),
    }


def length_percentiles(lengths: Sequence[int]) -> dict[str, int]:
    """Characters, rounded down."""
    return {f"p{level}": int(np.percentile(lengths, level)) for level in (5, 25, 50, 75, 95)}


def _distinct(words: Sequence[Sequence[str]], n: int) -> float:
    grams = [tuple(each[place : place + n]) for each in words for place in range(len(each) - n + 1)]
    return round(len(set(grams)) / len(grams), 4)


def nearest_similarities(texts: Sequence[str]) -> np.ndarray:
    """(N,) Jaccard similarity of each text to its nearest other text, where that is 0.5 or more, else 0.

    Exact: two sets at 0.5 or more share one of the rarest half of either's shingles (prefix filter,
    Chaudhuri et al. 2006).
    """
    sets = [shingles(text) for text in texts]
    rarity = Counter(chain.from_iterable(sets))
    holders: dict[str, list[int]] = {}
    nearest = np.zeros(len(texts))
    for row, own in enumerate(sets):
        prefix = sorted(own, key=lambda piece: (rarity[piece], piece))[: len(own) // 2 + 1]
        for other in {other for piece in prefix for other in holders.get(piece, ())}:
            similarity = jaccard(own, sets[other])
            nearest[[row, other]] = np.maximum(nearest[[row, other]], similarity)
        for piece in prefix:
            holders.setdefault(piece, []).append(row)
    nearest[nearest < LOOSE_JACCARD] = 0
    return nearest


def effective_topics(texts: Sequence[str]) -> float:
    """Of at most 100: how many clusters of equal size would have the same entropy."""
    weights = TfidfVectorizer(stop_words="english", sublinear_tf=True).fit_transform(texts)
    reduced = TruncatedSVD(min(DIMENSIONS, weights.shape[1]), random_state=0).fit_transform(weights)
    clusters = KMeans(min(TOPICS, len(texts)), n_init=1, random_state=0).fit_predict(normalize(reduced))
    shares = np.bincount(clusters) / len(texts)
    shares = shares[shares > 0]
    return round(float(np.exp(-(shares * np.log(shares)).sum())), 1)
