"""Which rows a guard is trained, calibrated and tested on that is to know nothing of one family.

Only what the attacks made is told apart. A text that a source brought along in disguise carries no
family and stays, so the drop that is measured is a lower bound.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from tinyguardrail.data.records import BENIGN, NO_TRANSFORM, Record
from tinyguardrail.errors import UserError
from tinyguardrail.params import LeaveOneOut
from tinyguardrail.spread import spread

REFERENCE = "none"  # what the reference guard is trained without
# Families that a composition applies, beside its own. Leetspeak is one of the encodings.
PARTS = {
    "composition_flip_base64": ("flipattack", "encoding"),
    "composition_rot13_base64": ("encoding",),
    "composition_reverse_words_leet": ("flipattack", "encoding"),
    "composition_homoglyph_zero_width": ("homoglyph", "character_injection"),
}


class LeftOutError(UserError):
    """Too few rows to leave a family out."""


class Chosen(NamedTuple):
    """Rows of one guard.

    Attributes:
        train: what is drawn from.
        validation: what the router's scale and the threshold are set on.
        scored: those and the test rows, by their number among all validation and test rows.
    """

    train: list[Record]
    validation: list[Record]
    scored: dict[int, Record]


def choose_rows(rows: Mapping[str, Sequence[Record]], family: str, settings: LeaveOneOut) -> Chosen:
    """Rows of a guard without `family`, or of the reference.

    Training and validation rows carry no disguise of the family, neither threats nor their benign
    twins. Test rows are the family's, or every family's for the reference, threats and twins apart.
    Where there are more than asked for they are evenly spread.

    Args:
        rows: of each split, in file order.

    Raises:
        LeftOutError: fewer training rows than `leave_one_out.rows`, so that guards would not see as
            many, or no test row of a side.
    """
    train = [row for row in rows["train"] if family not in families_of(row)]
    if len(train) < settings.rows:
        raise LeftOutError(
            f"leave_one_out.rows = {settings.rows}, but without {family} there are only {len(train)} "
            "training rows; lower it"
        )
    held_out = rows["validation"]
    kept = [place for place, row in enumerate(held_out) if family not in families_of(row)]
    kept.sort(key=lambda place: held_out[place].label == BENIGN)  # twins alternate with threats in the file
    validation = {place: held_out[place] for place in sorted(spread(kept, settings.validation_rows))}
    test = {len(held_out) + place: rows["test"][place] for place in _test(rows["test"], family, settings)}
    return Chosen(train, list(validation.values()), validation | test)


def families_of(row: Record) -> tuple[str, ...]:
    """Families whose disguise a row carries, parts of a composition included; none of a plain row."""
    if row.transform == NO_TRANSFORM:
        return ()
    return (row.family, *PARTS.get(row.transform, ()))


def _test(rows: Sequence[Record], family: str, settings: LeaveOneOut) -> list[int]:
    sides: dict[tuple[str, bool], list[int]] = {}
    for place, row in enumerate(rows):
        if row.transform != NO_TRANSFORM and family in (row.family, REFERENCE):
            sides.setdefault((row.family, row.label == BENIGN), []).append(place)
    for name in {family for family, _ in sides} or {family}:
        for benign, title in ((False, "threats"), (True, "benign twins")):
            if (name, benign) not in sides:
                raise LeftOutError(
                    f"the test split has no disguised {title} of {name}; run dvc repro --force synthesize"
                )
    return sorted(place for side in sides.values() for place in spread(side, settings.test_rows))
