"""VAR: verifiable adaptive routing for Mixtral-style language models.

A frozen table, indexed by token context, takes the place of most router calls; what it
decides follows from the table's hash and the token ids alone. The speed comes from calls
that use one expert instead of two.
"""

import importlib
from typing import Any

_HOMES = {
    "RoutingStatistics": "routing.statistics",
    "RoutingTable": "routing.table",
    "VARConfig": "routing.config",
    "VARMixtralWrapper": "routing.wrapper",
    "build_table": "routing.table",
    "collect_statistics": "routing.statistics",
    "get_aggressive_config": "routing.config",
    "get_balanced_config": "routing.config",
    "get_conservative_config": "routing.config",
    "load_causal_lm": "mixture.loading",
    "load_tokenizer": "mixture.loading",
    "load_statistics": "routing.statistics_file",
    "save_statistics": "routing.statistics_file",
    "verify": "routing.verification",
}
__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    """Import a public name when it is first asked for: the command line does without torch."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
