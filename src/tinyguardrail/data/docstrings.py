"""Docstrings of the installed, pinned packages: real technical text with nothing to download.

Source files are parsed, never imported, so the result depends on the package versions
alone, which the lock file fixes.
"""

from __future__ import annotations

import ast
import importlib.util
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tinyguardrail.errors import UserError
from tinyguardrail.progress import progress

MIN_CHARACTERS = 40


class DocstringError(UserError):
    """A package that cannot be mined."""


class Docstring(NamedTuple):
    package: str
    module: str  # path below the package, with forward slashes
    name: str  # qualified name of the documented object, empty for the module itself
    text: str


def mine_package(package: str) -> list[Docstring]:
    """All docstrings of one installed package, in path and line order, tests left out.

    Raises:
        DocstringError: the package is not installed, or holds no docstring.
    """
    specification = importlib.util.find_spec(package)
    if specification is None or not specification.submodule_search_locations:
        raise DocstringError(
            f"data.docstring_packages: {package!r} is not installed; run make setup, or take it off the list"
        )
    root = Path(specification.submodule_search_locations[0])
    found: list[Docstring] = []
    files = sorted(root.rglob("*.py"), key=lambda path: path.relative_to(root).as_posix())
    for path in progress(files, f"docstrings of {package}"):
        module = path.relative_to(root).as_posix()
        if "tests" not in module.split("/"):
            found.extend(_docstrings_of(path, package, module))
    if not found:
        raise DocstringError(f"data.docstring_packages: {package!r} holds no docstring")
    return found


def _docstrings_of(path: Path, package: str, module: str) -> Iterator[Docstring]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SyntaxWarning)  # old escapes in other people's strings
        tree = ast.parse(path.read_text(encoding="utf-8"))
    yield from _walk(tree, package, module, "")


def _walk(node: ast.AST, package: str, module: str, name: str) -> Iterator[Docstring]:
    if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
        text = ast.get_docstring(node, clean=True)
        if text and len(text) >= MIN_CHARACTERS:
            yield Docstring(package, module, name, text)
    for child in ast.iter_child_nodes(node):
        child_name = getattr(child, "name", None)
        inner = f"{name}.{child_name}".strip(".") if isinstance(child_name, str) else name
        if isinstance(child, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef | ast.If | ast.Try):
            yield from _walk(child, package, module, inner)
