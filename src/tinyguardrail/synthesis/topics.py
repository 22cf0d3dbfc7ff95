"""Questions about harmful topics beside requests for the harm: the ask alone tells them apart.

Frames and topics have a split as texts have, and meet within it alone, so that a test row shares
neither with a training row.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from random import Random

from tinyguardrail.data.labels import BENIGN
from tinyguardrail.data.params import Data
from tinyguardrail.data.records import Record
from tinyguardrail.sources.corpus import authored_row
from tinyguardrail.synthesis.entries import Topic
from tinyguardrail.synthesis.grammar import Grammar
from tinyguardrail.synthesis.splits import paired_rows

FAMILY = "borderline_topics"
COUNTERFACTUAL_FAMILY = "topic_counterfactual"
KINDS = ("people", "society")  # what a topic may be about
ROUNDS = 3  # of openers and closers after which a pool counts as used up
BARE = 3  # of six rows stand without an opener and a closer
CANDIDATES = 4  # hostile asks drawn, of which the nearest in length is taken


def topic_pairs(grammar: Grammar, wanted: int, data: Data) -> Iterator[Record]:
    """`wanted` benign rows, each followed by a hostile one on the same topic.

    Raises:
        SplitError: as in `paired_rows`.
    """
    return paired_rows("topics", wanted, data, partial(_pairs, grammar), compared=2)


def _pairs(grammar: Grammar, mine: Callable[[str], bool], rng: Random) -> Iterator[tuple[Record, Record]]:
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
    for again in range(ROUNDS):
        for language, frame, topic, unkind in rng.sample(combined, len(combined)):
            dress = grammar.dress(language, rng.randint(1 if again else 1 - BARE, 3), rng)
            other = nearest(unkind, frame, rng)
            yield (
                authored_row(dress(_fill(frame, topic)), BENIGN, FAMILY, language, frame),
                authored_row(dress(_fill(other, topic)), "harm", COUNTERFACTUAL_FAMILY, language, other),
            )


def nearest(texts: Sequence[str], to: str, rng: Random) -> str:
    """Of a few texts drawn at random the one nearest in length, so that length tells nothing."""
    drawn = rng.sample(texts, min(CANDIDATES, len(texts)))
    return min(drawn, key=lambda each: abs(len(each) - len(to)))


def _fill(frame: str, topic: Topic) -> str:
    for name in Topic.model_fields:
        frame = frame.replace(f"{{{name}}}", getattr(topic, name))
    return frame
