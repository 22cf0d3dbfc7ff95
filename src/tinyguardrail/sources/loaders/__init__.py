"""Loaders of the public sources: `load(files)` yields the rows of one source.

Loaders say what a row is (label, family, parent); `cleaning.clean` decides which rows stay. Every
public function of a module in this folder is one, and a row of `sources.yaml` calls it by its name.
"""

import importlib
import inspect
import pkgutil
from collections.abc import Callable, Iterator, Sequence

from tinyguardrail.data.records import Record
from tinyguardrail.sources.reading import InputFile

Loader = Callable[[Sequence[InputFile]], Iterator[Record]]


def _loaders_of(name: str) -> dict[str, Loader]:
    module = importlib.import_module(f"{__name__}.{name}")
    functions = inspect.getmembers(module, inspect.isfunction)
    return {
        name: function
        for name, function in functions
        if function.__module__ == module.__name__ and not name.startswith("_")
    }


LOADERS: dict[str, Loader] = {
    name: load for info in pkgutil.iter_modules(__path__) for name, load in _loaders_of(info.name).items()
}
