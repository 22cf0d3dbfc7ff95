"""All untransformed test rows, and the threats among them by label."""

from collections.abc import Iterator

from tinyguardrail.data.labels import BENIGN, LABELS, OBFUSCATION
from tinyguardrail_paper.analysis.metrics.metric import BOTH, THREATS
from tinyguardrail_paper.analysis.scores import Scores
from tinyguardrail_paper.analysis.suites.suite import Suite, select, untransformed

NAME = "plain"


def plain(scores: Scores) -> Iterator[Suite]:
    yield select(
        scores, untransformed(scores), name=NAME, title="untransformed test rows", group=NAME, kind=BOTH
    )
    for label in (label for label in LABELS if label not in (BENIGN, OBFUSCATION)):
        own, title = untransformed(scores) & (scores.rows["label"] == label), label.replace("_", " ")
        yield select(scores, own, name=label, title=title, group="labels", kind=THREATS, part_of=NAME)


SUITES = (plain,)
