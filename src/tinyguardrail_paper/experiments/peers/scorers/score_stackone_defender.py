"""stackone-defender as its README uses it: patterns and the ONNX model, both on by default.

`score` is the model's calibrated probability, and 1 where the patterns block alone: those stay on whatever
threshold a user sets for the model, so a threshold on `score` passes through what users can choose. At the
default, 0.52, it is `blocked`.
"""

from typing import Any

from protocol import answer_rows
from stackone_defender import create_prompt_defense

TOOL = "read_input"  # any name: it only matters for structured results, and these are plain strings
SKIPPED = "All strings skipped by classifier: "
BY_DESIGN = ("Text below minTextLength", "No classifiable sentences")  # the model isn't asked about scraps

defense = create_prompt_defense(block_high_risk=True, require_tier2=True)
defense.warmup_tier2()
patterns = create_prompt_defense(block_high_risk=True, enable_tier2=False)


def score(text: str) -> dict[str, Any]:
    result = defense.defend_tool_result(text, TOOL)
    skipped = result.tier2_score is None
    if skipped and (result.tier2_skip_reason or "").removeprefix(SKIPPED) not in BY_DESIGN:
        raise RuntimeError(f"the model was not asked: {result.tier2_skip_reason}")
    by_pattern = bool(result.detections) and not patterns.defend_tool_result(text, TOOL).allowed
    model_score = 0.0 if skipped else result.tier2_score
    return {
        "score": 1.0 if by_pattern else model_score,
        "blocked": not result.allowed,
        "model_score": model_score,
        "by_pattern": by_pattern,
        "skipped": skipped,
    }


answer_rows(score)
