"""Prompts that people put to models in a chat arena, coding tasks told apart."""

import re
from collections.abc import Iterator, Sequence

from tinyguardrail.data.labels import BENIGN
from tinyguardrail.data.records import Record
from tinyguardrail.sources.attack_patterns import without_attacks
from tinyguardrail.sources.reading import InputFile, Row, rows_of

# Text alone decides: version 0.1 says nothing of coding, and version 2.0 files recipes for cakes under it.
CODING = re.compile(
    r"```"
    # a language, tool or part of a program by name
    r"|(?<![\w.])(python|java|javascript|typescript|golang|kotlin|php|ruby|sql|bash|powershell|html|css|matlab"
    r"|vba|numpy|pandas|pytorch|tensorflow|keras|reactjs|next\.?js|node\.?js|django|flask|fastapi|laravel"
    r"|docker(file)?|kubernetes|terraform|ansible|haskell|perl|solidity|opengl|mysql|postgres\w*|mongodb|sqlite"
    r"|pygame|flutter|qt|verilog|arduino|regex|nixos|github|git|api|json|yaml|xml|linux|spring boot|compiler"
    r"|backend|frontend|unit tests?|source code|codebase)(?!\w)"
    r"|(?<!\w)c(\+\+|#)(?!\w)|пайтон|питон"
    # a program asked for
    r"|\b(write|implement|create|develop|build|generate|provide|give|fix|debug|refactor|rewrite|optimi[sz]e)\b"
    r"[^.\n]{0,60}\b(code|program|script|function|algorithm|class|app|software|query)s?\b"
    # a line of code
    r"|^\s*(import \w+|from [\w.]+ import|\#include|def \w+\(|class \w+[:({]|(public|private|static) \w+"
    r"|function \w+\(|(const|var|let) \w+ ?=|select .* from |using [\w.]+;|</?[a-z]\w*[ >])|;\s*$",
    re.IGNORECASE | re.MULTILINE,
)


def arena_hard(files: Sequence[InputFile]) -> Iterator[Record]:
    """Arena-Hard (2406.11939), both versions: family `arena_coding` where `CODING` finds code.

    Prompts to train on are dropped where an attack pattern finds them; a test stays as published.
    """
    for file in files:
        prompts = (_prompt(file, row) for row in file.rows())
        yield from prompts if file.role == "test" else without_attacks(prompts, file.dropped)


def ru_arena(files: Sequence[InputFile]) -> Iterator[Record]:
    """Russian prompts in the layout of Arena-Hard 0.1; each has one turn."""
    for file, row in rows_of(files):
        for turn in row.rows("turns"):
            yield file.record(turn.text("content"), BENIGN, "arena_prompt")


def _prompt(file: InputFile, row: Row) -> Record:
    text = row.text("prompt")
    return file.record(text, BENIGN, "arena_coding" if CODING.search(text) else "arena_prompt")
