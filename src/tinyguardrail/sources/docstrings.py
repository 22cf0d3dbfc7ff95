"""Docstrings and code of the installed, pinned packages: real technical text with nothing to download.

Source files are parsed, never imported, so the result depends on the package versions
alone, which the lock file fixes.
"""

import ast
import importlib.util
import textwrap
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from tinyguardrail.sources.source import SourceError
from tinyguardrail_common.progress import progress

MIN_CHARACTERS = 40
_Documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


class Docstring(NamedTuple):
    package: str
    module: str  # path below the package, with forward slashes
    name: str  # qualified name of the documented object, empty for the module itself
    text: str


def mine_package(package: str) -> list[Docstring]:
    """All docstrings of one installed package, in path and line order, tests left out.

    Raises:
        SourceError: the package is not installed, or holds no docstring.
    """
    return _mine(package, "docstring", lambda node, lines: ast.get_docstring(node) or "")


def mine_code(package: str) -> list[Docstring]:
    """All functions of one installed package as source code without their docstrings; errors as above."""
    return _mine(package, "function", _code_of)


def _mine(package: str, what: str, text_of: Callable[[_Documented, list[str]], str]) -> list[Docstring]:
    found = [
        Docstring(package, module, name, text)
        for module, source in _modules(package, f"{what}s")
        for lines in [source.splitlines()]
        for name, node in _walk(_parse(source, f"{package}/{module}"), "")
        if len(text := text_of(node, lines)) >= MIN_CHARACTERS
    ]
    if not found:
        raise SourceError(f"data.docstring_packages: {package!r} holds no {what}")
    return found


def _modules(package: str, what: str) -> Iterator[tuple[str, str]]:
    """Path below the package and source text of each module that is not a test."""
    specification = importlib.util.find_spec(package)
    if specification is None or not specification.submodule_search_locations:
        raise SourceError(
            f"data.docstring_packages: {package!r} is not installed; run make setup, or take it off the list"
        )
    root = Path(specification.submodule_search_locations[0])
    files = sorted(root.rglob("*.py"), key=lambda path: path.relative_to(root).as_posix())
    for path in progress(files, f"{what} of {package}"):
        module = path.relative_to(root).as_posix()
        if "tests" not in module.split("/"):
            yield module, path.read_text(encoding="utf-8")


def _parse(source: str, name: str) -> ast.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SyntaxWarning)  # old escapes in other people's strings
        try:
            return ast.parse(source)
        except SyntaxError as error:
            raise SourceError(
                f"data.docstring_packages: {name} is not Python (line {error.lineno}: {error.msg}); "
                "take the package off the list"
            ) from None


def _walk(node: ast.AST, name: str) -> Iterator[tuple[str, _Documented]]:
    if isinstance(node, _Documented):
        yield name, node
    for child in ast.iter_child_nodes(node):
        child_name = getattr(child, "name", None)
        inner = f"{name}.{child_name}".strip(".") if isinstance(child_name, str) else name
        if isinstance(child, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef | ast.If | ast.Try):
            yield from _walk(child, inner)


def _code_of(node: _Documented, lines: list[str]) -> str:
    """Source of a function, empty for a class or a module."""
    if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        return ""
    kept = lines[node.lineno - 1 : node.end_lineno]
    if ast.get_docstring(node, clean=False) is not None:
        first = node.body[0]
        del kept[first.lineno - node.lineno : first.end_lineno - node.lineno + 1]
    return textwrap.dedent("\n".join(kept)).strip()
