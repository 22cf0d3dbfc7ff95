"""Typst as a function: its own fonts, no clock, and errors of one line."""

from pathlib import Path

import typst

from tinyguardrail_common.errors import UserError

TIMESTAMP = 1_735_689_600  # 2025-01-01T00:00:00Z, in every PDF, so that equal content is equal bytes


class PaperError(UserError):
    """The paper does not compile; the message is one line."""


def render(source: Path, file_format: str = "pdf", root: Path = Path()) -> bytes | list[bytes]:
    """Compile `source` against the files below `root`.

    The text is handed over as bytes, so that the source may be a symbolic link to the
    other scale's; every path in it starts at `root` for the same reason.

    Returns:
        The PDF, or for `png` one image per page (a bare image when there is one page).
    """
    if not source.is_file():
        raise PaperError(f"{source} is missing; it is part of the repository")
    try:
        return _compile(source.read_bytes(), root, file_format)
    except typst.TypstError as error:
        details = " ".join(f"{error.message} {' '.join(error.hints)}".split())
        raise PaperError(f"{source} does not compile: {details}") from None


def svg_to_pdf(svg: Path) -> bytes:
    """The same drawing as one PDF page of its size, for LaTeX."""
    page = f'#set page(width: auto, height: auto, margin: 0pt)\n#image("/{svg.name}")'
    return _compile(page.encode(), svg.parent, "pdf")


def _compile(text: bytes, root: Path, file_format: str) -> bytes | list[bytes]:
    return typst.compile(
        text,
        root=str(root.resolve()),
        format=file_format,
        ignore_system_fonts=True,
        timestamp=TIMESTAMP,
        ppi=110,
    )
