"""Registries without a list to patch: what the modules of a package say they hold."""

import importlib
import pkgutil
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from tinyguardrail_common.errors import UserError

Item = TypeVar("Item")


def members(package: str, path: Iterable[str], attribute: str) -> list[Any]:
    """Items of `attribute`, a tuple, of every module of `package` that has one, in order of module names."""
    names = sorted(info.name for info in pkgutil.iter_modules(path))
    modules = [importlib.import_module(f"{package}.{name}") for name in names]
    return [item for module in modules for item in getattr(module, attribute, ())]


def known(registry: Mapping[str, Item], name: str, kind: str) -> Item:
    """The item of that name.

    Raises:
        UserError: there is none; the message names those there are.
    """
    if name not in registry:
        raise UserError(f"unknown {kind} {name!r}; known: {', '.join(registry)}")
    return registry[name]
