"""`results/run.json`: with what the results were made, without time, host or commit."""

import platform
import sys
from importlib import metadata
from typing import Any

PACKAGES = (
    "matplotlib",
    "numpy",
    "onnx",
    "onnxruntime",
    "pandas",
    "pyarrow",
    "scikit-learn",
    "scipy",
    "tokenizers",
    "torch",
    "transformers",
    "typst",
)


def run_record(scale: str) -> dict[str, Any]:
    """Scale, Python's minor version, machine type and the versions of installed packages."""
    installed = {}
    for name in PACKAGES:
        try:
            installed[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            installed[name] = None
    return {
        "scale": scale,
        "python": f"{sys.version_info.major}.{sys.version_info.minor}",
        "machine": platform.machine(),
        "packages": installed,
    }
