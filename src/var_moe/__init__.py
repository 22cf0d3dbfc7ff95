"""VAR: verifiable adaptive routing for Mixtral-style language models.

A frozen table, indexed by token context, takes the place of most router calls; what it
decides follows from the table's hash and the token ids alone. The speed comes from calls
that use one expert instead of two.
"""

from __future__ import annotations

import importlib
from typing import Any

_HOMES = {
    "RoutingStatistics": "statistics",
    "RoutingTable": "table",
    "VARConfig": "config",
    "VARMixtralWrapper": "wrapper",
    "build_table": "table",
    "collect_statistics": "statistics",
    "get_aggressive_config": "config",
    "get_balanced_config": "config",
    "get_conservative_config": "config",
    "load_causal_lm": "loading",
    "load_tokenizer": "loading",
    "load_statistics": "statistics_file",
    "save_statistics": "statistics_file",
    "verify": "verification",
}
__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    """Import a public name when it is first asked for: the command line does without torch."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
