"""Benign rows that resemble attacks: trigger words, documentation, code, borderline topics.

Trigger-word rows are half counterfactual: one frame filled with a harmless and with a hostile
object, under the same opener and closer, so that only the object tells the two apart. The hostile
counterparts are threats, and come with them.
"""

import math
import re
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from random import Random

import numpy as np

from tinyguardrail.data.labels import BENIGN
from tinyguardrail.data.params import Data
from tinyguardrail.data.records import NO_TRANSFORM, SPLITS, Record
from tinyguardrail.sources.corpus import authored_row
from tinyguardrail.sources.docstrings import Docstring
from tinyguardrail.synthesis.grammar import Grammar
from tinyguardrail.synthesis.params import HardNegatives
from tinyguardrail.synthesis.splits import belongs_to, check_pool, distinct, split_of

# Words that attacks favor and that harmless text uses too; over-defence starts here.
TRIGGER_WORDS = (
    "admin", "attack", "bypass", "command", "confidential", "delete", "disable", "disregard", "dump",
    "escape", "execute", "exploit", "filter", "forget", "hack", "hidden", "ignore", "inject", "instruction",
    "jailbreak", "kill", "leak", "limit", "malicious", "mode", "override", "overwrite", "password", "policy",
    "pretend", "previous", "prompt", "repeat", "restriction", "reveal", "role", "root", "rule", "safety",
    "secret", "simulate", "system", "token", "unrestricted", "unsafe", "weapon",
)  # fmt: skip

_TRIGGER = re.compile(rf"\b(?:{'|'.join(TRIGGER_WORDS)})(?:s|d|ed|ing)?\b", re.IGNORECASE)
COUNTERFACTUAL = "trigger_words_counterfactual"
DOCUMENTATION_SENTENCE = "trigger_words_documentation"
TECHNICAL = "technical_documentation"
CODE = "technical_documentation_code"
ADD_PACKAGES = "; or add to data.docstring_packages"
CODE_QUESTION = "code_question"  # the kind of frames that take a piece of code
BORDERLINE = ("borderline_safety", "about_injection")
PASSAGE_CHARACTERS = range(60, 4000)
SENTENCE_CHARACTERS = range(40, 300)
LENGTH_BINS = 24
FRAMED_CHARACTERS = 300  # longer borderline texts are not put into a frame
ROUNDS = 6  # rounds of openers and closers after which a pool counts as used up


def resembling_attacks(
    authored: Sequence[Record],
    docstrings: Sequence[Docstring],
    grammar: Grammar,
    settings: HardNegatives,
    data: Data,
) -> Iterator[Record]:
    """Trigger words and borderline texts, and the hostile counterparts of the counterfactual ones.

    Raises:
        SplitError: a pool holds fewer texts than the parameters ask for; the setting is named.
    """
    sentences = round(settings.trigger_words * settings.documentation_share)
    yield from counterfactual_pairs(grammar, settings.trigger_words - sentences, data.split_seed)
    pool = {text: one for one in reversed(docstrings) for text in _sentences(one.text)}
    check_pool("trigger_words", sentences, len(pool), ADD_PACKAGES)
    rng = Random(f"{data.split_seed}:{DOCUMENTATION_SENTENCE}")
    for text in rng.sample(list(pool), sentences):
        yield _mined_row(text, pool[text], DOCUMENTATION_SENTENCE)
    yield from _borderline(authored, grammar, settings.borderline, data)


def filling_lengths(
    docstrings: Sequence[Docstring],
    code: Sequence[Docstring],
    grammar: Grammar,
    settings: HardNegatives,
    seed: int,
    threats: np.ndarray,
    benign: np.ndarray,
) -> Iterator[Record]:
    """Documentation and code, of the lengths at which benign text is scarcer than threats.

    Without this, length alone would tell attacks from benign text.

    Args:
        threats: (N,) characters of every other threat.
        benign: (M,) characters of every other benign text.

    Raises:
        SplitError: as in `resembling_attacks`.
    """
    rng = Random(f"{seed}:passages")
    lengths = iter(scarce_lengths(threats, benign, settings.technical_documentation + settings.code, rng))
    pool = {text: one for one in reversed(docstrings) if (text := _passage(one.text, rng))}
    check_pool("technical_documentation", settings.technical_documentation, len(pool), ADD_PACKAGES)
    for text in nearest_lengths(list(pool), list(islice(lengths, settings.technical_documentation))):
        yield _mined_row(text, pool[text], TECHNICAL)
    pool = {one.text: one for one in reversed(code) if len(one.text) in PASSAGE_CHARACTERS}
    check_pool("code", settings.code, len(pool), ADD_PACKAGES)
    asking = [each for each in grammar.request_frames if each.kind == CODE_QUESTION]
    questions = [frame for each in asking for frame in each.frames]
    for number, text in enumerate(nearest_lengths(list(pool), list(lengths))):
        asked = rng.choice(questions).replace("{request}", text) if questions and number % 2 else text
        yield _mined_row(asked, pool[text], CODE)


def scarce_lengths(threats: np.ndarray, benign: np.ndarray, wanted: int, rng: Random) -> list[int]:
    """`wanted` lengths that bring the distribution of benign lengths closest to that of threats."""
    edges = np.geomspace(PASSAGE_CHARACTERS.start, PASSAGE_CHARACTERS.stop, LENGTH_BINS + 1)
    shape = np.histogram(threats, edges)[0] / max(1, len(threats))
    missing = shape * (len(benign) + wanted) - np.histogram(benign, edges)[0]
    weights = np.clip(missing, 0, None)
    weights = weights if weights.any() else np.ones(LENGTH_BINS)
    bins = rng.choices(range(LENGTH_BINS), weights.tolist(), k=wanted)
    return [round(math.exp(rng.uniform(math.log(edges[b]), math.log(edges[b + 1])))) for b in bins]


def nearest_lengths(texts: Sequence[str], lengths: Sequence[int]) -> Iterator[str]:
    """For each length the text nearest to it, each text at most once."""
    ordered = sorted(texts, key=len)
    for length in lengths:
        place = bisect_left(ordered, length, key=len)
        if place and (
            place == len(ordered) or length - len(ordered[place - 1]) < len(ordered[place]) - length
        ):
            place -= 1
        yield ordered.pop(place)


def _mined_row(text: str, one: Docstring, family: str) -> Record:
    """The rows of one module share a parent."""
    parent = f"docstrings/{one.package}/{one.module}"
    source = "code" if family == CODE else "docstrings"
    return Record(text, BENIGN, source, family, NO_TRANSFORM, parent, "en")


def counterfactual_pairs(grammar: Grammar, wanted: int, seed: int) -> Iterator[Record]:
    """`wanted` harmless rows and `wanted` hostile ones of the same frames, openers and closers.

    First every frame and object stands bare; further rounds put an opener, a closer or both around.
    """
    rng = Random(f"{seed}:{COUNTERFACTUAL}")
    pairs = [
        (frame, *objects)
        for frame in grammar.counterfactuals
        for objects in zip(_shuffled(frame.harmless, rng), _shuffled(frame.hostile, rng), strict=False)
    ]

    def candidates() -> Iterator[list[Record]]:
        for dressing in range(ROUNDS):
            for frame, harmless, hostile in _shuffled(pairs, rng):
                dress = grammar.dress(frame.language, dressing, rng)
                yield [
                    authored_row(
                        dress(frame.fill(value)), intent, COUNTERFACTUAL, frame.language, frame.frame
                    )
                    for value, intent in ((harmless, BENIGN), (hostile, frame.intent))
                ]

    check_pool("trigger_words", wanted, (yield from distinct(candidates(), wanted)))


def _borderline(authored: Sequence[Record], grammar: Grammar, wanted: int, data: Data) -> Iterator[Record]:
    """Authored borderline texts again, under openers, closers and the benign frames of their split."""
    rng = Random(f"{data.split_seed}:borderline")
    texts = [row for row in authored if row.family in BORDERLINE]
    frames = {split: frames_of(grammar, belongs_to(split, data)) for split in SPLITS}

    def candidates() -> Iterator[list[Record]]:
        for dressing in range(1, 4 * ROUNDS):
            for row in _shuffled(texts, rng):
                text = grammar.dress(row.language, dressing, rng)(row.text)
                own = frames[split_of(row.parent_id, data)][row.language, BENIGN]
                if own and dressing % 2 == 0 and len(row.text) < FRAMED_CHARACTERS:
                    text = rng.choice(own).replace("{request}", row.text)
                if text != row.text:
                    yield [row._replace(text=text)]

    check_pool("borderline", wanted, (yield from distinct(candidates(), wanted)))


def frames_of(grammar: Grammar, mine: Callable[[str], bool]) -> dict[tuple[str, str], list[str]]:
    """Request frames of a split, those for which `mine` holds, by language and label."""
    found: dict[tuple[str, str], list[str]] = defaultdict(list)
    for each in grammar.request_frames:
        if each.kind != CODE_QUESTION:
            found[each.language, each.label] += filter(mine, each.frames)
    return found


def _passage(docstring: str, rng: Random) -> str:
    """Prose from the start of a docstring up to a length drawn for it, or nothing."""
    wanted = math.exp(rng.uniform(math.log(PASSAGE_CHARACTERS.start), math.log(PASSAGE_CHARACTERS.stop)))
    text = ""
    for part in re.split(r"\n\s*\n", docstring):
        if ">>>" in part:
            continue
        if text and len(text) + len(part.strip()) > wanted:
            break
        text = f"{text}\n\n{part.strip()}".strip()
    return text if len(text) in PASSAGE_CHARACTERS else ""


def _sentences(docstring: str) -> Iterator[str]:
    """Whole sentences with a trigger word."""
    for part in re.split(r"\n\s*\n", docstring):
        for sentence in re.split(r"(?<=[.!?])\s+(?=[A-Z])", " ".join(part.split())):
            whole = sentence.endswith((".", "?", "!")) and not re.search(r">>>|---|\.\. |::", sentence)
            if whole and len(sentence) in SENTENCE_CHARACTERS and _TRIGGER.search(sentence):
                yield sentence


def _shuffled(items: Sequence, rng: Random) -> list:
    return rng.sample(items, len(items))
