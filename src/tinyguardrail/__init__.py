"""TinyGuardrail: a small routed guard for the input of language models.

>>> from tinyguardrail import Guard
>>> Guard.load("models/onnx/seed0").classify("What is the capital of Peru?").label
'benign'
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"
__all__ = ["Guard", "Verdict"]
_MODULES = {"Guard": "tinyguardrail.runtime.guard", "Verdict": "tinyguardrail.runtime.verdict"}


def __getattr__(name: str) -> Any:
    """The guard on first use: other parts of the package need no ONNX Runtime."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_MODULES[name]), name)
