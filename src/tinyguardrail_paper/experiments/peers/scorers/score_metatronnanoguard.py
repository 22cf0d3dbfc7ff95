"""metatronnanoguard as its README uses it, on the CPU: with a GPU it would compute in bfloat16."""

from typing import Any

from nanoguard import NanoGuard
from protocol import answer_rows

guard = NanoGuard(device="cpu")


def score(text: str) -> dict[str, Any]:
    result = guard.scan(text)
    return {"score": result.injection_score, "blocked": result.is_injection}


answer_rows(score)
