"""Every table of the paper: each is declared once, above the function that makes its rows."""

from importlib import import_module
from pkgutil import iter_modules
from typing import Any

import tinyguardrail_paper.tables as package
from tinyguardrail_paper.analysis.evaluate import Results
from tinyguardrail_paper.tables.table import DATA_CARD, RESULTS, Declaration, Table

_NAMES = (f"{package.__name__}.{each.name}" for each in iter_modules(package.__path__))
_MODULES = [import_module(name) for name in _NAMES if name != __name__]
TABLES = [each for module in _MODULES for each in vars(module).values() if isinstance(each, Declaration)]


def build_tables(results: Results, data_card: dict[str, Any]) -> list[Table]:
    """Every table that has rows: some need what a scale does not measure."""
    sources = {RESULTS: results, DATA_CARD: data_card}
    tables = (declaration.build(sources) for declaration in TABLES)
    return [table for table in tables if table.rows]
