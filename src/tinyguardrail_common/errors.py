"""The error that a person can mend: its message is one line that says where and how."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager


class UserError(ValueError):
    """Bad input, settings or surroundings; stages and commands print it without a traceback."""


@contextmanager
def one_line_errors() -> Iterator[None]:
    """End the program on a `UserError`, with its one line on standard error and exit code 1."""
    try:
        yield
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
