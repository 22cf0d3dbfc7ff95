"""Docstrings and code are mined from installed packages."""

import pytest

from tinyguardrail.sources.docstrings import mine_code, mine_package
from tinyguardrail.sources.source import SourceError


def test_docstrings_and_code_come_from_installed_source_files():
    mined, code = mine_package("typer"), mine_code("typer")
    assert any(docstring.name for docstring in mined)
    assert mined == mine_package("typer")
    assert any(each.text.startswith("def ") for each in code)
    first_lines = {(each.module, each.name): each.text.splitlines()[0] for each in mined}
    documented = [each for each in code if (each.module, each.name) in first_lines]
    assert documented
    assert not any(first_lines[each.module, each.name] in each.text for each in documented)


@pytest.mark.parametrize("mine", [mine_package, mine_code])
def test_a_package_that_cannot_be_mined_is_named(mine, tmp_path, monkeypatch):
    with pytest.raises(SourceError, match="'no_such_package' is not installed"):
        mine("no_such_package")
    (tmp_path / "broken_package").mkdir()
    (tmp_path / "broken_package/__init__.py").write_text("def (:\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(SourceError, match=r"broken_package/__init__\.py is not Python \(line 1"):
        mine("broken_package")
