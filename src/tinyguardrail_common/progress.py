"""One progress bar for every long loop: shown on a terminal, silent elsewhere."""

import sys
from collections.abc import Iterable
from typing import TypeVar

from tqdm import tqdm

Item = TypeVar("Item")


def progress(items: Iterable[Item], label: str, total: int | None = None) -> Iterable[Item]:
    """Iterate with a bar on standard error, or with nothing when that is not a terminal."""
    return tqdm(items, desc=label, total=total, disable=not sys.stderr.isatty(), leave=False)
