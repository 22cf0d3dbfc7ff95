"""prompt-guardrail as its README uses it; its own score is that of the label it gives."""

from typing import Any

import guardify
from protocol import answer_rows


def score(text: str) -> dict[str, Any]:
    result = guardify.detect(text)
    blocked = result["label"] == "injection"
    return {"score": result["score"] if blocked else 1 - result["score"], "blocked": blocked}


answer_rows(score)
