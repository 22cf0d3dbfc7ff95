"""Questions about harmful topics beside requests for the harm: the ask alone tells them apart.

Frames and topics have a split as texts have, and meet within it alone, so that a test row shares
neither with a training row.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from random import Random

from tinyguardrail.data.entries import Topic
from tinyguardrail.data.grammar import Grammar
from tinyguardrail.data.records import BENIGN, NO_TRANSFORM, Record, parent_of
from tinyguardrail.data.splits import paired_rows, split_of
from tinyguardrail.params import Data

FAMILY = "borderline_topics"
TWIN_FAMILY = "topic_counterfactual"
KINDS = ("people", "society")  # what a topic may be about
ROUNDS = 3  # of openers and closers after which a pool counts as used up
BARE = 3  # of six rows stand without an opener and a closer
CANDIDATES = 4  # hostile asks drawn, of which the nearest in length is taken


def topic_pairs(grammar: Grammar, wanted: int, data: Data) -> Iterator[Record]:
    """`wanted` benign rows, each followed by a hostile one on the same topic.

    Raises:
        SplitError: as in `paired_rows`.
    """

    def pairs_of(split: str, target: int, rng: Random) -> Iterator[Record]:
        return _pairs_of(grammar, split, target, data, rng)

    yield from paired_rows("topics", wanted, data, pairs_of)


def _pairs_of(grammar: Grammar, split: str, wanted: int, data: Data, rng: Random) -> Iterator[Record]:
    def mine(text: str) -> bool:
        return split_of(parent_of("authored", text), data) == split

    hostile: dict[tuple[str, str], list[str]] = defaultdict(list)  # by language and what they are about
    benign = []
    for entry in grammar.topic_frames:
        for frame in filter(mine, entry.topic_frames):
            if entry.label == BENIGN:
                benign.append((entry.language, entry.about, frame))
            else:
                for about in KINDS if entry.about == "any" else (entry.about,):
                    hostile[entry.language, about].append(frame)
    combined = [
        (language, frame, topic, hostile[language, entry.about])
        for language, about, frame in benign
        for entry in grammar.topics
        if entry.language == language and about in ("any", entry.about) and hostile[language, entry.about]
        for topic in entry.topics
        if mine(topic.noun)
    ]
    made: set[str] = set()
    pairs = 0
    for again in range(ROUNDS if combined else 0):
        for language, frame, topic, unkind in rng.sample(combined, len(combined)):
            if pairs == wanted:
                return
            dress = grammar.dress(language, rng.randint(1 if again else 1 - BARE, 3), rng)
            other = nearest(unkind, frame, rng)
            texts = dress(_fill(frame, topic)), dress(_fill(other, topic))
            if made.isdisjoint(texts):
                made.update(texts)
                pairs += 1
                yield _row(texts[0], BENIGN, FAMILY, frame, language)
                yield _row(texts[1], "jailbreak", TWIN_FAMILY, other, language)


def nearest(texts: Sequence[str], to: str, rng: Random) -> str:
    """Of a few texts drawn at random the one nearest in length, so that length tells nothing."""
    drawn = rng.sample(texts, min(CANDIDATES, len(texts)))
    return min(drawn, key=lambda each: abs(len(each) - len(to)))


def _fill(frame: str, topic: Topic) -> str:
    for name in Topic.model_fields:
        frame = frame.replace(f"{{{name}}}", getattr(topic, name))
    return frame


def _row(text: str, label: str, family: str, frame: str, language: str) -> Record:
    return Record(text, label, "authored", family, NO_TRANSFORM, parent_of("authored", frame), language)
