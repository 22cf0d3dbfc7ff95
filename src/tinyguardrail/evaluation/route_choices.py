"""Other ways to choose the rows that go deep, at the share that the learned router sends there.

Each returns (S, N) bool for `routing.decide_routes`. A router earns its place where its
choice beats chance, and the guess that a shallow branch is wrong where it is least sure of
itself; a choice that knows the labels bounds what any could reach.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tinyguardrail.evaluation.scores import Scores

SPLITS = ("validation", "test")


def random_choices(scores: Scores, deep: np.ndarray, draws: int, seed: int) -> Iterator[np.ndarray]:
    """`draws` times as many rows of each split as `deep` has there, all equally likely."""
    generator = np.random.default_rng(seed)
    for _ in range(draws):
        yield lowest(scores, deep, generator.random(deep.shape))


def early_exit(scores: Scores, deep: np.ndarray) -> np.ndarray:
    """Rows where the fast branch's largest probability is at or below a limit fixed on validation rows.

    The limit gives validation rows the share that `deep` has there; test rows get what it gives.
    The fast branch must run on every text before this choice can be made.
    """
    validation, confidence = scores.split("validation"), scores.fast.max(axis=-1)
    limits = []
    for own, wanted in zip(confidence[:, validation], deep[:, validation].sum(axis=1), strict=True):
        limits.append(np.sort(own)[wanted - 1] if wanted else -np.inf)
    return confidence <= np.array(limits)[:, None]


def early_exit_equal_share(scores: Scores, deep: np.ndarray) -> np.ndarray:
    """The same, but of test rows too exactly as many as `deep` has, which a deployed guard cannot promise."""
    return lowest(scores, deep, scores.fast.max(axis=-1))


def oracle(scores: Scores, deep: np.ndarray) -> np.ndarray:
    """Rows that only the deep branch gets right, at most as many as `deep` has.

    Where there are more, those whose true class gains the most probability.
    """
    gained = (scores.deep.argmax(-1) == scores.label) & (scores.fast.argmax(-1) != scores.label)
    own = np.arange(len(scores.label))
    gain = scores.deep[:, own, scores.label] - scores.fast[:, own, scores.label]
    return gained & lowest(scores, deep, np.where(gained, -gain, np.inf))


def lowest(scores: Scores, deep: np.ndarray, value: np.ndarray) -> np.ndarray:
    """Of each split the rows with the lowest `value`, (S, N), as many as `deep` has there; ties by row."""
    chosen = np.zeros_like(deep)
    for split in SPLITS:
        rows = np.flatnonzero(scores.split(split))
        for seed, wanted in enumerate(deep[:, rows].sum(axis=1)):
            first = np.argsort(value[seed, rows], kind="stable")[:wanted]
            chosen[seed, rows[first]] = True
    return chosen
