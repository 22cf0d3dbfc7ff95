"""Prompts that people put to models in a chat arena, coding tasks told apart."""

import re
from collections.abc import Iterator, Sequence

from tinyguardrail.data.labels import BENIGN
from tinyguardrail.data.records import Record
from tinyguardrail.sources.reading import InputFile, rows_of

# Text alone decides: the set's own label of coding also holds recipes for cakes.
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
    """Arena-Hard 2.0 (2406.11939): family `arena_coding` where `CODING` finds code."""
    for file, row in rows_of(files):
        text = row.text("prompt")
        yield file.record(text, BENIGN, "arena_coding" if CODING.search(text) else "arena_prompt")


def ru_arena(files: Sequence[InputFile]) -> Iterator[Record]:
    """Russian prompts in the layout of Arena-Hard 0.1; each has one turn."""
    for file, row in rows_of(files):
        for turn in row.rows("turns"):
            yield file.record(turn.text("content"), BENIGN, "arena_prompt")
