"""How a stage uses the machine: threads, determinism, and memory that is kept between steps."""

import os
import sys

ENVIRONMENT = {
    # glibc gives large buffers back to the system at once, and each new one then faults in page
    # by page. Keeping them makes a training step about a fifth faster.
    "MALLOC_MMAP_THRESHOLD_": "4294967296",
    "MALLOC_TRIM_THRESHOLD_": "8589934592",
    "MALLOC_TOP_PAD_": "268435456",
    # Threads that spin while they wait make a step up to three times slower on a shared machine.
    "OMP_WAIT_POLICY": "passive",
}


def prepare_process() -> None:
    """Start this process again under `ENVIRONMENT`, which glibc and OpenMP read only at start-up."""
    if sys.platform == "linux" and any(os.environ.get(name) != value for name, value in ENVIRONMENT.items()):
        os.execve(sys.executable, [sys.executable, *sys.argv], os.environ | ENVIRONMENT)


def repeatable(threads: int) -> None:
    """Make torch's results a function of the seed alone, on one type of machine; bars on terminals only."""
    import torch

    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(True)
    torch.utils.deterministic.fill_uninitialized_memory = False
    quiet_transformers()


def quiet_transformers() -> None:
    """Bars of transformers, of loading and saving models, on terminals only."""
    from transformers.utils.logging import disable_progress_bar

    if not sys.stderr.isatty():
        disable_progress_bar()
