"""Random rows that are a threat or not, each with a score."""

import numpy as np
from hypothesis import strategies as st

# Scores on a coarse grid, so that ties occur.
labelled = st.lists(st.tuples(st.booleans(), st.integers(0, 8)), min_size=4, max_size=40).filter(
    lambda rows: len({threat for threat, _ in rows}) == 2
)


def unzip(rows):
    threat, score = zip(*rows, strict=True)
    return np.array(threat), np.array(score) / 8
