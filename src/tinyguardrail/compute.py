"""How a stage uses the machine: threads, determinism, and memory that is kept between steps."""

from __future__ import annotations

import os
import sys

# glibc gives large buffers back to the system at once, and each new one then faults in page by
# page. Keeping them makes a training step about a fifth faster; it must be set before start-up.
KEEP_MEMORY = {
    "MALLOC_MMAP_THRESHOLD_": "4294967296",
    "MALLOC_TRIM_THRESHOLD_": "8589934592",
    "MALLOC_TOP_PAD_": "268435456",
}


def keep_memory() -> None:
    """Start this process again with glibc told to keep freed memory, unless it is so already."""
    if sys.platform == "linux" and any(os.environ.get(name) != value for name, value in KEEP_MEMORY.items()):
        os.execve(sys.executable, [sys.executable, *sys.argv], os.environ | KEEP_MEMORY)


def repeatable(threads: int) -> None:
    """Make torch's results a function of the seed alone, on one type of machine; bars on terminals only."""
    import torch
    from transformers.utils.logging import disable_progress_bar

    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(True)
    torch.utils.deterministic.fill_uninitialized_memory = False
    if not sys.stderr.isatty():
        disable_progress_bar()
