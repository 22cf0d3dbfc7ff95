"""From sources to splits: hard negatives mined, disguises applied to threats and to benign text alike."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from random import Random

from tinyguardrail.attacks.registry import FAMILIES, Family, NothingToChange
from tinyguardrail.data.docstrings import Docstring
from tinyguardrail.data.records import BENIGN, NO_TRANSFORM, OBFUSCATION, SPLITS, Record
from tinyguardrail.data.splits import SplitError, assign_split, check_splits, remove_near_duplicates
from tinyguardrail.data.trigger_words import has_trigger_word
from tinyguardrail.params import Attacks, Data

TECHNICAL = "technical_documentation"
PASSAGE_CHARACTERS = range(60, 500)


def synthesize(
    authored: Sequence[Record], docstrings: Sequence[Docstring], data: Data, attacks: Attacks
) -> tuple[list[Record], dict[str, int]]:
    """All rows of all splits, and the near duplicates dropped per split."""
    rows = [*authored, *technical_negatives(docstrings, data)]
    fractions = (data.validation_fraction, data.test_fraction)
    rows = [row._replace(split=assign_split(row.parent_id, data.split_seed, *fractions)) for row in rows]
    rows, dropped = remove_near_duplicates(rows)
    check_splits(rows)
    rows += [
        record
        for split in SPLITS
        for record in disguised([row for row in rows if row.split == split], split, data.split_seed, attacks)
    ]
    check_splits(rows)
    return rows, dropped


def technical_negatives(docstrings: Sequence[Docstring], data: Data) -> list[Record]:
    """Paragraphs of documentation, at most one per docstring, a set share of them with a trigger word."""
    with_trigger, without = [], []
    for docstring in docstrings:
        paragraphs = [part.strip() for part in re.split(r"\n\s*\n", docstring.text)]
        prose = [part for part in paragraphs if len(part) in PASSAGE_CHARACTERS and ">>>" not in part]
        triggered = [part for part in prose if has_trigger_word(part)]
        for pool, found in ((with_trigger, triggered), (without, [] if triggered else prose)):
            if found:
                pool.append((docstring, found[0]))
    wanted = round(data.technical_negatives * data.trigger_share)
    rng = Random(f"{data.split_seed}:{TECHNICAL}")
    chosen = _draw(with_trigger, wanted, rng) + _draw(without, data.technical_negatives - wanted, rng)
    return [
        Record(
            text=text,
            label=BENIGN,
            source="docstrings",
            family=TECHNICAL,
            transform=NO_TRANSFORM,
            parent_id=f"docstrings/{docstring.package}/{docstring.module}",
            language="en",
        )
        for docstring, text in chosen
    ]


def _draw(pool: Sequence, wanted: int, rng: Random) -> list:
    if wanted > len(pool):
        raise SplitError(
            f"data.technical_negatives asks for {wanted} passages of one sort, docstrings hold {len(pool)}; "
            "lower it or add to data.docstring_packages"
        )
    return rng.sample(pool, wanted)


def disguised(rows: Sequence[Record], split: str, seed: int, attacks: Attacks) -> Iterator[Record]:
    """Disguised threats (label obfuscation) and, as many, benign texts disguised the same way (benign)."""
    short = [row for row in rows if len(row.text) <= attacks.max_characters]
    sides = {
        OBFUSCATION: [row for row in short if row.label != BENIGN],
        BENIGN: [row for row in short if row.label == BENIGN],
    }
    for family in FAMILIES.values():
        wanted = _rows_per_transform(family, split, attacks)
        for transform in family.transforms:
            for label, pool in sides.items():
                rng = Random(f"{seed}:{split}:{transform}:{label}")
                for row, text in _apply(family, transform, pool, wanted, rng):
                    yield row._replace(text=text, label=label, family=family.name, transform=transform)


def _rows_per_transform(family: Family, split: str, attacks: Attacks) -> int:
    if split == "train":
        return round(getattr(attacks, family.name) / len(family.transforms))
    return attacks.validation_rows if split == "validation" else attacks.test_rows


def _apply(
    family: Family, transform: str, pool: Sequence[Record], wanted: int, rng: Random
) -> Iterator[tuple[Record, str]]:
    """`wanted` different texts of the pool, disguised; what the transform cannot change is passed over."""
    made = 0
    for row in rng.sample(pool, len(pool)):
        if made == wanted:
            return
        try:
            attacked = family.apply(row.text, transform, rng)
        except NothingToChange:
            continue
        made += 1
        yield row, attacked.text
    if made < wanted:
        raise SplitError(
            f"attacks.{family.name} asks for {wanted} rows of {transform}, the split's short texts give "
            f"{made}; lower it, raise attacks.max_characters or add texts"
        )
