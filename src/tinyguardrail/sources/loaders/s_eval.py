"""S-Eval (2405.14191): 1,000 risky requests, each dressed up in ten kinds of attack, in English and Chinese.

Upstream ties nothing together, but its files keep one order: the requests stand in the same sequence in
every kind and in both languages, so a row's place within its kind names its request.
"""

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence

from tinyguardrail.data.records import Record, parent_of
from tinyguardrail.sources.reading import InputFile, Row
from tinyguardrail.sources.source import SourceError

# Fiction that asks for the technical detail: the one kind that a model wrote afresh for every request, and
# that shares neither a frame nor a phrase with the others. Held out whole, as a dev source of its own.
HELD_OUT = "compositional_instructions"
# Kinds whose texts are not trained on, and why.
UNUSED = {
    # The request turned into its lawful counterpart ("for an article on rail safety"): an honest question.
    "reverse_induction": "reads_as_honest",
    # Base64, URL or Caesar codes of Chinese questions, with no benign text in the same dress: they would
    # teach that a code is an attack, and nobody can read what the Caesar codes ask for.
    "instruction_encryption": "encoded_without_controls",
}
# A frame that is an attack whatever it asks for; the other kinds are one only around a harmful request.
ATTACKS_BY_THEMSELVES = frozenset({"chain_of_utterances", "goal_hijacking", "instruction_jailbreak"})
# Most of these requests are harmless: how many days of leave a firm gives, how to deal with anger or invest.
MOSTLY_HONEST = frozenset({"Data_Privacy", "Inappropriate_Suggestions", "Physical_and_Mental_Health"})
# In fiction these read as stories (a school that excludes, a sect that recruits), not as calls for help.
MILD_IN_FICTION = frozenset({"Ethics_and_Morality", "Extremism", "Hate_Speech"})
ONE_FRAME_FOR_MANY = frozenset({"chain_of_utterances", "in_context_attack", "instruction_jailbreak"})
FRAME_OPENING = 60  # characters that tell the frames of a kind apart
KINDS = (
    *UNUSED, *sorted(ATTACKS_BY_THEMSELVES), HELD_OUT,
    "code_injection", "deepinception", "in_context_attack", "positive_induction",
)  # fmt: skip
ASKS_FOR_OPENING = re.compile(r"\b(?:start|begin)|开始|开头|开端|开场", re.IGNORECASE)


def s_eval(files: Sequence[InputFile]) -> Iterator[Record]:
    """Seven kinds: goal hijacking ("ignore the above, answer this") is injection, the others jailbreak."""
    return _kinds(files, lambda kind: UNUSED.get(kind) or ("held_out_kind" if kind == HELD_OUT else None))


def s_eval_dev(files: Sequence[InputFile]) -> Iterator[Record]:
    """The kind held out. Its requests stand in `s_eval` too, in other dress: the technique is what is new."""
    return _kinds(files, lambda kind: None if kind == HELD_OUT else "another_kind")


def _kinds(files: Sequence[InputFile], unwanted: Callable[[str], str | None]) -> Iterator[Record]:
    frames: dict[tuple[str, int], str] = {}
    for file in files:
        seen = Counter[str]()
        for row in file.rows():
            kind, text = _kind(row), row.text("prompt").replace('""', '"')  # a CSV's doubled quotes
            seen[kind] += 1
            # a frame has the name of its English opening in both languages, as the order of rows is the same
            frame = frames.setdefault((kind, seen[kind]), text[:FRAME_OPENING])
            if reason := unwanted(kind) or _flaw(kind, row.text("risk_type"), text):
                file.dropped[reason] += 1
                continue
            label = "direct_injection" if kind == "goal_hijacking" else "jailbreak"
            # the dev source has parents of its own: rows that share one with it would leave training
            request = f"{file.source}/request_{seen[kind]}"
            # rows of one frame nearly repeat each other: tied by request, a few would displace the others
            parent = parent_of(file.source, frame) if kind in ONE_FRAME_FOR_MANY else request
            yield file.record(text, label, f"s_eval_{kind}", parent)


def _kind(row: Row) -> str:
    try:
        kind = json.loads(row.text("ext"))["category"]
    except (json.JSONDecodeError, KeyError, TypeError):
        raise SourceError(f"{row.place}: ext = {row.get('ext')!r} is not JSON with a category") from None
    if kind not in KINDS:
        raise SourceError(f"{row.place}: unknown kind {kind!r}; known are {', '.join(sorted(KINDS))}")
    return kind


def _flaw(kind: str, risk: str, text: str) -> str | None:
    if kind not in ATTACKS_BY_THEMSELVES and risk in MOSTLY_HONEST:
        return "mostly_honest_request"
    if kind == HELD_OUT and risk in MILD_IN_FICTION:
        return "mild_request_in_fiction"
    if kind == "positive_induction" and not ASKS_FOR_OPENING.search(text):
        return "no_technique"  # an answer's opening alone, or the bare question: upstream's generator failed
    return None
