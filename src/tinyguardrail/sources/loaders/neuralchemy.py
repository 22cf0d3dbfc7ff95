"""neuralchemy/Prompt-injection-dataset: labels by category, and without the rows that leak test sets."""

from collections.abc import Iterator, Sequence

from tinyguardrail.data.labels import BENIGN
from tinyguardrail.data.records import Record
from tinyguardrail.sources.reading import InputFile, Row, rows_of
from tinyguardrail.sources.source import SourceError

# Misnamed upstream: JailbreakBench goals, their benign twins, and its judge comparison with XSTest rows.
LEAKING = frozenset({"harmbench", "harmbench_benign", "wildguard_judgecomp"})
# Harmless requests ("List five fruits.") that upstream marks as malicious.
CONTROL = "control"
LABEL_OF_CATEGORY = {
    ("0", "benign"): BENIGN,
    ("0", "edge_case"): BENIGN,
    **{
        ("1", category): "jailbreak"
        for category in ("crescendo", "jailbreak", "many_shot", "persona_replacement")
    },
    **{
        ("1", category): "direct_injection"
        for category in (
            "adversarial", "agent_manipulation", "chain_of_thought", "code_execution", "context_confusion",
            "direct_injection", "encoding", "encoding_obfuscation", "indirect_injection",
            "instruction_override", "model_fingerprinting", "multi_turn", "output_manipulation",
            "payload_injection", "prompt_extraction", "prompt_injection", "prompt_leak", "rag_poisoning",
            "response_manipulation", "system_extraction", "system_manipulation", "token_injection",
            "token_smuggling", "training_extraction",
        )
    },
}  # fmt: skip


def neuralchemy(files: Sequence[InputFile]) -> Iterator[Record]:
    """All three published splits as one pool: they come from one generator; `group_id` is the parent."""
    for file, row in rows_of(files):
        if row.get("source") in LEAKING:
            file.dropped["leaks_a_test_set"] += 1
        elif row.get("category") == CONTROL:
            file.dropped["harmless_but_marked_malicious"] += 1
        else:
            parent = f"{file.source}/{row.get('group_id')}"
            yield file.record(row.text("text"), _label(row), row.text("category"), parent)


def _label(row: Row) -> str:
    key = (str(row.get("label")).strip(), row.get("category"))
    if key not in LABEL_OF_CATEGORY:
        raise SourceError(
            f"{row.place}: no label rule covers label {row.get('label')!r} with category "
            f"{row.get('category')!r}; add one to LABEL_OF_CATEGORY"
        )
    return LABEL_OF_CATEGORY[key]
