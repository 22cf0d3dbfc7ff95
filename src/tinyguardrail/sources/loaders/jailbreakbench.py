"""JailbreakBench (2404.01318): behaviours, their benign twins, and jailbreak artifacts."""

from collections.abc import Iterator, Sequence

from tinyguardrail.data.labels import BENIGN
from tinyguardrail.data.records import Record
from tinyguardrail.sources.reading import InputFile, Row

FAMILY_OF_METHOD = {
    "pair": "pair",
    "gcg": "gcg",
    "jailbreakchat": "jbc",
    "dsn": "dsn",
    "adaptive_random_search": "random_search",
}


def jbb_artifacts(files: Sequence[InputFile]) -> Iterator[Record]:
    """Prompts of all attacks; where an attack found none the prompt is null, and cleaning counts it.

    `jailbroken` is what a victim model did, not a label, and `response` is never read.
    """
    for file in files:
        content = file.json()
        family = Row(file.place, content.get("parameters")).choice("method", FAMILY_OF_METHOD)
        for row in content.rows("jailbreaks"):
            yield file.record(row.text("prompt"), "jailbreak", family, _behaviour(row))


def jbb_behaviors(files: Sequence[InputFile]) -> Iterator[Record]:
    """Harmful goals, read from the first artifact file, and their benign twins from the csv file."""
    for file in files:
        if file.name.endswith(".csv"):
            for row in file.rows():
                yield file.record(row.text("goal", "Goal"), BENIGN, "jbb_benign")
        else:
            for row in file.json().rows("jailbreaks"):
                yield file.record(row.text("goal"), "jailbreak", "plain_request", _behaviour(row))


def _behaviour(row: Row) -> str:
    """All attacks on one goal share a parent with the goal, in both sources."""
    return f"jbb/{row.get('index')}"
