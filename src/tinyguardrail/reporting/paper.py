"""The paper as PDF: Typst, its own fonts, no clock."""

from __future__ import annotations

from pathlib import Path

import typst

from tinyguardrail import paths
from tinyguardrail.files import atomic_file

TIMESTAMP = 1_735_689_600  # 2025-01-01T00:00:00Z, in every PDF, so that equal content is equal bytes


class PaperError(RuntimeError):
    """The paper does not compile; the message is one line."""


def render(source: Path, file_format: str = "pdf", root: Path = Path()) -> bytes | list[bytes]:
    """Compile `source` against the files below `root`.

    The text is handed over as bytes, so that the source may be a symbolic link to the
    other scale's; every path in it starts at `root` for the same reason.

    Returns:
        The PDF, or for `png` one image per page (a bare image when there is one page).
    """
    try:
        return typst.compile(
            source.read_bytes(),
            root=str(root.resolve()),
            format=file_format,
            ignore_system_fonts=True,
            timestamp=TIMESTAMP,
            ppi=110,
        )
    except FileNotFoundError:
        raise PaperError(f"{source} is missing; it is part of the repository") from None
    except typst.TypstError as error:
        details = " ".join(f"{error.message} {' '.join(error.hints)}".split())
        raise PaperError(f"{source} does not compile: {details}") from None


def write_paper() -> None:
    """`paper/paper.pdf` from `paper/main.typ` and what it reads below the scale's folder."""
    content = render(paths.PAPER_SOURCE)
    with atomic_file(paths.PAPER_PDF) as temporary:
        temporary.write_bytes(content)
