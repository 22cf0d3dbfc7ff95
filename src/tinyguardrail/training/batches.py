"""Order of the training texts: shuffled by seed and epoch, batches of like length."""

from collections.abc import Sequence

import numpy as np

BUCKET = 16  # batches that are sorted by length together


def epoch_batches(lengths: Sequence[int], batch_size: int, seed: int, epoch: int) -> list[np.ndarray]:
    """Row indices of each batch, a pure function of its arguments, so that a resumed run repeats it.

    Args:
        lengths: tokens of each text.
    """
    rng = np.random.default_rng([seed, epoch])
    order = rng.permutation(len(lengths))
    lengths = np.asarray(lengths)
    batches = []
    for start in range(0, len(order), batch_size * BUCKET):
        bucket = order[start : start + batch_size * BUCKET]
        bucket = bucket[np.argsort(lengths[bucket], kind="stable")]
        batches += [bucket[i : i + batch_size] for i in range(0, len(bucket), batch_size)]
    return [batches[i] for i in rng.permutation(len(batches))]
