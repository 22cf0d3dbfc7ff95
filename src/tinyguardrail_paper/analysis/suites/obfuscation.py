"""Each family of attacks and each of its transforms, with matched controls: benign text under the same."""

from collections.abc import Iterator

import numpy as np

from tinyguardrail.attacks.registry import FAMILIES
from tinyguardrail_paper.analysis.metrics.metric import ATTACKS, BENIGN
from tinyguardrail_paper.analysis.scores import Scores
from tinyguardrail_paper.analysis.suites.harmful_requests import ADVBENCH
from tinyguardrail_paper.analysis.suites.suite import Suite, select, untransformed

GROUP = "attacks"
CONTROLS = "matched controls"
PUBLIC_GROUP = "public attacks"

TITLES = {
    name: title
    for family in FAMILIES.values()
    for name, title in ({family.name: family.title} | family.transforms).items()
}


def attacks(scores: Scores) -> Iterator[Suite]:
    for name, family, members in transforms(scores):
        shared = {"title": attack_title(name), "part_of": family, "control": control_name(name)}
        yield select(scores, members, name=name, group=GROUP, kind=ATTACKS, **shared)
        title, benign = f"benign text put through {shared['title']}", members & ~scores.threat
        yield select(scores, benign, name=shared["control"], title=title, group=CONTROLS, kind=BENIGN)
        # The same controls, because a control is drawn for a transform and not for a source.
        public = members & (~scores.threat | (scores.rows["source"] == ADVBENCH.source))
        if np.any(public & scores.threat & scores.split("test")):
            name = on_public_requests(name)
            yield select(scores, public, name=name, group=PUBLIC_GROUP, kind=ATTACKS, **shared)


def attack_title(name: str) -> str:
    """A family of attacks or one of its transforms as a person would write it."""
    return TITLES.get(name) or name.replace("_", " ")


def control_name(attack: str) -> str:
    """The suite of an attack's matched controls."""
    return f"control_{attack}"


def on_public_requests(attack: str) -> str:
    """The suite of an attack on public requests, which are obfuscated in the test split beside ours."""
    return f"{attack}_{ADVBENCH.name}"


def transforms(scores: Scores) -> Iterator[tuple[str, str | None, np.ndarray]]:
    """(name, family, (N,) bool): each attack family, of no other one, then its variants if it has several."""
    family, transform = scores.rows["family"], scores.rows["transform"]
    transformed = ~untransformed(scores)
    for name in sorted(set(family[transformed])):
        own = transformed & (family == name)
        yield name, None, own
        for variant in sorted(set(transform[own]) - {name}):
            yield variant, name, own & (transform == variant)


SUITES = (attacks,)
