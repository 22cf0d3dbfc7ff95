"""Allocator and thread settings that the timings depend on; they must stand before torch starts."""

from __future__ import annotations

import os
import sys

# Without the first three, glibc hands large buffers back to the kernel after every layer and
# faults them in again; the stock kernel suffers most, which would read as a gain of VAR.
# Passive waiting keeps two threads from spinning against other programs.
SETTINGS = {
    "MALLOC_MMAP_THRESHOLD_": "4294967296",
    "MALLOC_TRIM_THRESHOLD_": "17179869184",
    "MALLOC_TOP_PAD_": "268435456",
    "OMP_WAIT_POLICY": "passive",
}


def apply_process_settings() -> None:
    """Start this program again with `SETTINGS` in its environment, unless they are there.

    Values that the user has set are kept.
    """
    missing = {name: value for name, value in SETTINGS.items() if name not in os.environ}
    if missing:
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], {**os.environ, **missing})


def recorded_settings() -> dict[str, str]:
    """The values in force, for the record beside the timings."""
    return {name: os.environ.get(name, "") for name in SETTINGS}
