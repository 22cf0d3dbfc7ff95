"""What a user of the command line sees of an error that is theirs to mend."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import typer

from tinyguardrail.errors import UserError


@contextmanager
def one_line_errors() -> Iterator[None]:
    """A `UserError` as one line on standard error, with exit code 1."""
    try:
        yield
    except UserError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from None
