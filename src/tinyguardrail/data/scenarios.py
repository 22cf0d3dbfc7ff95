"""Fiction, role-play, class and research set-ups around a harmless and around a disallowed task.

Both twins have the same shell with the same people and places, so that the set-up tells nothing.
Shells and tasks have a split as texts have, and meet within it alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from random import Random

from tinyguardrail.data.entries import SHELL_SLOTS
from tinyguardrail.data.grammar import Grammar
from tinyguardrail.data.records import BENIGN, NO_TRANSFORM, Record, parent_of
from tinyguardrail.data.splits import paired_rows, split_of
from tinyguardrail.data.topics import nearest
from tinyguardrail.params import Data

FAMILY = "borderline_scenario"
TWIN_FAMILY = "scenario_counterfactual"
VARIANTS = 3  # fillings of one shell and task after which a pool counts as used up
_SENTENCE_START = re.compile(r"(?:^|[.!?][\"')]?\s+|\n)(\{\w+\})")


def scenario_pairs(grammar: Grammar, wanted: int, data: Data) -> Iterator[Record]:
    """`wanted` benign rows, each followed by its hostile twin.

    Raises:
        SplitError: as in `paired_rows`.
    """

    def pairs_of(split: str, target: int, rng: Random) -> Iterator[Record]:
        return _pairs_of(grammar, split, target, data, rng)

    yield from paired_rows("scenarios", wanted, data, pairs_of)


def _pairs_of(grammar: Grammar, split: str, wanted: int, data: Data, rng: Random) -> Iterator[Record]:
    def mine(text: str) -> bool:
        return split_of(parent_of("authored", text), data) == split

    def tasks(language: str, takes: str, benign: bool) -> list[str]:
        return [
            task
            for entry in grammar.scenario_tasks
            if (entry.language, entry.takes, entry.label == BENIGN) == (language, takes, benign)
            for task in filter(mine, entry.tasks)
        ]

    combined = []
    for entry in grammar.shells:
        harmless, hostile = (tasks(entry.language, entry.takes, benign) for benign in (True, False))
        for shell in filter(mine, entry.shells):
            combined += [(entry.language, shell, task, hostile) for task in harmless if hostile]
    made: set[str] = set()
    for _ in range(VARIANTS if combined else 0):
        for language, shell, task, hostile in rng.sample(combined, len(combined)):
            if len(made) == wanted:
                return
            filled = _fill(shell, grammar.slots[language], rng)
            text = filled.replace("{task}", task)
            if text not in made:
                made.add(text)
                twin = filled.replace("{task}", nearest(hostile, task, rng))
                parent = parent_of("authored", shell)
                yield Record(text, BENIGN, "authored", FAMILY, NO_TRANSFORM, parent, language)
                yield Record(twin, "jailbreak", "authored", TWIN_FAMILY, NO_TRANSFORM, parent, language)


def _fill(shell: str, values: dict[str, list[str]], rng: Random) -> str:
    """The shell with all but its task; what starts a sentence gets a capital letter."""
    first = {match.group(1) for match in _SENTENCE_START.finditer(shell)}
    for name in SHELL_SLOTS.split():
        if f"{{{name}}}" not in shell:
            continue
        value = rng.choice(values[name])
        slot = f"{{{name}}}"
        if "," in value:  # an aside ends where the sentence goes on
            shell = re.sub(rf"{re.escape(slot)}(?= [a-z])", f"{slot},", shell)
        shell = shell.replace(slot, value[0].upper() + value[1:] if slot in first else value)
    return shell
