"""All untransformed test rows, and the threats among them by intent."""

from collections.abc import Iterator

from tinyguardrail.data.labels import INTENTS
from tinyguardrail_paper.analysis.metrics.metric import BOTH, THREATS
from tinyguardrail_paper.analysis.scores import Scores
from tinyguardrail_paper.analysis.suites.suite import Suite, select, untransformed

NAME = "plain"


def plain(scores: Scores) -> Iterator[Suite]:
    yield select(
        scores, untransformed(scores), name=NAME, title="untransformed test rows", group=NAME, kind=BOTH
    )
    for intent in INTENTS[1:]:
        own = untransformed(scores) & (scores.rows["intent"] == intent)
        yield select(scores, own, name=intent, title=intent, group="intents", kind=THREATS, part_of=NAME)


SUITES = (plain,)
