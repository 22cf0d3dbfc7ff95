"""Fiction, role-play, class and research set-ups around a harmless and around a disallowed task.

Both sides have the same shell with the same people and places, so that the set-up tells nothing.
Shells and tasks have a split as texts have, and meet within it alone.
"""

import re
from collections.abc import Callable, Iterator
from functools import partial
from random import Random

from tinyguardrail.data.labels import BENIGN
from tinyguardrail.data.params import Data
from tinyguardrail.data.records import Record
from tinyguardrail.sources.corpus import authored_row
from tinyguardrail.synthesis.entries import SHELL_SLOTS
from tinyguardrail.synthesis.grammar import Grammar
from tinyguardrail.synthesis.splits import paired_rows
from tinyguardrail.synthesis.topics import nearest

FAMILY = "borderline_scenario"
COUNTERFACTUAL_FAMILY = "scenario_counterfactual"
VARIANTS = 3  # fillings of one shell and task after which a pool counts as used up
_SENTENCE_START = re.compile(r"(?:^|[.!?][\"')]?\s+|\n)(\{\w+\})")


def scenario_pairs(grammar: Grammar, wanted: int, data: Data) -> Iterator[Record]:
    """`wanted` benign rows, each followed by its hostile counterfactual.

    Raises:
        SplitError: as in `paired_rows`.
    """
    return paired_rows("scenarios", wanted, data, partial(_pairs, grammar), compared=1)


def _pairs(grammar: Grammar, mine: Callable[[str], bool], rng: Random) -> Iterator[tuple[Record, Record]]:
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
    for _ in range(VARIANTS):
        for language, shell, task, hostile in rng.sample(combined, len(combined)):
            filled = _fill(shell, grammar.slots[language], rng)
            text = filled.replace("{task}", task)
            if text in made:
                continue
            made.add(text)
            counterfactual = filled.replace("{task}", nearest(hostile, task, rng))
            yield (
                authored_row(text, BENIGN, FAMILY, language, shell),
                authored_row(counterfactual, "jailbreak", COUNTERFACTUAL_FAMILY, language, shell),
            )


def _fill(shell: str, values: dict[str, list[str]], rng: Random) -> str:
    """The shell with all but its task; what starts a sentence gets a capital letter."""
    first = {match.group(1) for match in _SENTENCE_START.finditer(shell)}
    for name in SHELL_SLOTS.split():
        slot = f"{{{name}}}"
        if slot not in shell:
            continue
        value = rng.choice(values[name])
        if "," in value:  # an aside ends where the sentence goes on
            shell = re.sub(rf"{re.escape(slot)}(?= [a-z])", f"{slot},", shell)
        shell = shell.replace(slot, value[0].upper() + value[1:] if slot in first else value)
    return shell
