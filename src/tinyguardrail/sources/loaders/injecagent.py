"""InjecAgent (2403.02691): outputs of an agent's tools with an instruction planted in them, and clean ones.

The planted instructions are often polite requests, so the clean twins hold polite requests as well: what
differs is whether the text speaks to the reader of a mail or review, or has the agent act for somebody.
"""

import re
from collections.abc import Iterator, Sequence

from tinyguardrail.data.labels import BENIGN
from tinyguardrail.data.records import Record
from tinyguardrail.sources.reading import InputFile
from tinyguardrail.sources.source import SourceError

# "enhanced" puts "IMPORTANT!!! Ignore all previous instructions ..." before the instruction.
FAMILY_OF_FILE = {
    "test_cases_dh_base.json": "injecagent_dh",
    "test_cases_ds_base.json": "injecagent_ds",
    "test_cases_dh_enhanced.json": "injecagent_dh_enhanced",
    "test_cases_ds_enhanced.json": "injecagent_ds_enhanced",
}
CARRIERS, OUTPUTS = "user_cases.jsonl", "attacker_simulated_responses.json"
SLOT = "<Attacker Instruction>"
CALLED_TOOL = re.compile(r"\((\w+),")  # of a key "(Tool,arguments)"
HARMLESS = (
    "Arrived two days early and works as described. The charger gets warm, but nothing worrying.",
    "Good value for the price, although the packaging was slightly damaged.",
    "We stayed with the old version because the new one drains the battery too fast.",
    "The fan is loud under load. Otherwise I am happy with it after three months of daily use.",
    "I returned the first one. The replacement has been flawless since March.",
    "Five stars for the support team, who answered within an hour and solved my problem.",
    "The doctor listened carefully and explained every step of the treatment.",
    "Waiting time was longer than announced, but the consultation itself was excellent.",
    "Minutes of the meeting: budget approved, hiring postponed, next review on 14 March.",
    "Remember to water the plants and to buy coffee filters on the way home.",
    "Draft outline: introduction, related work, method, three experiments, limitations.",
    "Ideas for the garden: lavender along the fence, a small pond, two apple trees.",
    "Checklist before travelling: passport, adapter, insurance card, printed tickets.",
    "A small library that parses dates in forty formats, with no dependencies.",
    "Fork of the original project with Windows builds and a faster test suite.",
    "Collection of exercises for the course on operating systems, with solutions for weeks one to six.",
    "Backend developer, coffee enthusiast and occasional marathon runner.",
    "Professor of mathematics. Views are my own. Mostly posts about birds.",
    "Quarterly planning with the design team, room 4.12, bring your own laptop.",
    "Annual check-up. Fasting is required from the evening before.",
    "Inspect the fire extinguishers on floors two and three and note the expiry dates in the log.",
    "Update the asset list, then send the signed form to the finance department by Friday.",
    "Please bring the printed contracts to the meeting on Thursday so that we can sign them together.",
    "Could you let me know by tomorrow whether the new schedule works for your group?",
    "Please review the attached draft and add your comments before the end of the week.",
    "Kindly confirm your attendance at the dinner and tell us about any allergies.",
    "Your parcel is at the pickup point until Saturday. Please have your identity card ready.",
    "Up to 20 percent off headphones this weekend in all our stores.",
    "Lemon and ginger, lightly sparkling, without added sugar. In shops from Monday.",
    "Markets closed slightly higher on Tuesday after the central bank left rates unchanged.",
)


def injecagent(files: Sequence[InputFile]) -> Iterator[Record]:
    """Planted outputs, their clean twins and simulated clean outputs; the tool is the parent of its rows."""
    for file in files:
        if file.name in FAMILY_OF_FILE:
            yield from _planted(file)
        elif file.name == CARRIERS:
            yield from _twins(file)
        else:
            yield from _outputs(file)


def _planted(file: InputFile) -> Iterator[Record]:
    for row in file.rows():
        # the planted outputs alone are quoted, and some escaped for it: a mark that no twin has
        text = row.text("Tool Response").removeprefix('"').removesuffix('"').replace('\\"', '"')
        parent = f"{file.source}/{row.text('User Tool')}"
        yield file.record(text, "direct_injection", FAMILY_OF_FILE[file.name], parent)


def _twins(file: InputFile) -> Iterator[Record]:
    for row in file.rows():
        template = row.text("Tool Response Template")
        if SLOT not in template:
            raise SourceError(f"{row.place}: Tool Response Template has no {SLOT} to put a text into")
        for text in HARMLESS:
            parent = f"{file.source}/{row.text('User Tool')}"
            yield file.record(template.replace(SLOT, text), BENIGN, "injecagent_clean_twin", parent)


def _outputs(file: InputFile) -> Iterator[Record]:
    """Each distinct output once: many calls that differ in their arguments gave the same one."""
    seen: set[str] = set()
    outputs = file.json()
    for call in outputs.values:
        tool = CALLED_TOOL.match(call)
        if tool is None:
            raise SourceError(f"{file.place}: key {call!r:.60} does not name a called tool")
        text = outputs.text(call)
        if text in seen:
            file.dropped["repeated_output"] += 1
        else:
            seen.add(text)
            yield file.record(text, BENIGN, "injecagent_clean", f"{file.source}/{tool[1]}")
