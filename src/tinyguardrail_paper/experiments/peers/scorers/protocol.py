"""Read rows, answer with scores: what the scorers share.

A scorer runs in its peer's own environment, so this needs the standard library alone. Each line of standard
input is {"row": int, "text": str}. Each is answered, in order, by {"row", "score", "blocked", "ms", ...}, or
by {"row", "error"}, after which the scorer ends.
"""

import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any


def answer_rows(score: Callable[[str], dict[str, Any]]) -> None:
    """Answer every row of standard input.

    Args:
        score: text -> `score`, the probability in [0, 1] of a threat; `blocked`, the verdict at the default
            threshold; and whatever else is worth keeping. An exception is that row's error.
    """
    answers = os.fdopen(os.dup(1), "w", encoding="ascii")
    os.dup2(2, 1)  # what a package prints is no answer
    for line in sys.stdin.buffer:
        row = json.loads(line)
        start = time.perf_counter()
        try:
            answer = score(row["text"])
        except Exception as error:  # passed on: whoever reads the answers knows which row it is
            answer = {"error": f"{type(error).__name__}: {' '.join(str(error).split())}"}
        answer |= {"row": row["row"], "ms": (time.perf_counter() - start) * 1e3}
        print(json.dumps(answer), file=answers, flush=True)
        if "error" in answer:
            sys.exit(1)
