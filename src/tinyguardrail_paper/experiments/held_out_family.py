"""A guard that knows nothing of one family of attacks: its rows, its training and its scores.

Only what the attacks made is told apart. A text that a source brought along obfuscated carries no
family and stays, so the drop that is measured is a lower bound.
"""

import sys
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from tinyguardrail.attacks.registry import FAMILIES
from tinyguardrail.data.labels import BENIGN
from tinyguardrail.data.records import NO_TRANSFORM, Record
from tinyguardrail.data.sampling import evenly_spaced_sample
from tinyguardrail.model.build import feature_extractor
from tinyguardrail.normalization.normalizer import Normalized
from tinyguardrail.training.distributed import Workers
from tinyguardrail_common.errors import UserError
from tinyguardrail_paper.experiments.fine_tuning import fine_tune, resume_state
from tinyguardrail_paper.experiments.torch_scoring import threat_by_reading
from tinyguardrail_paper.scores.score_table import LEAVE_ONE_OUT
from tinyguardrail_paper.settings.params import REFERENCE, LeaveOneOut, Params

# Transform -> the families that it applies, beside its own.
PARTS = {
    f"{family.name}_{kind}": parts for family in FAMILIES.values() for kind, parts in family.parts.items()
}


class HeldOutError(UserError):
    """Too few rows to hold a family out."""


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

    Training and validation rows carry no obfuscation of the family, neither threats nor their
    matched controls. Test rows are the family's, or every family's for the reference, threats and
    controls apart. Where there are more than asked for they are evenly spread.

    Args:
        rows: of each split, in file order.

    Raises:
        HeldOutError: fewer training rows than `leave_one_out.rows`, so that guards would not see as
            many, or no test row of a side.
    """
    train = [row for row in rows["train"] if family not in families_of(row)]
    if len(train) < settings.rows:
        raise HeldOutError(
            f"leave_one_out.rows = {settings.rows}, but without {family} there are only {len(train)} "
            "training rows; lower it"
        )
    candidates = rows["validation"]
    kept = [place for place, row in enumerate(candidates) if family not in families_of(row)]
    kept.sort(key=lambda place: candidates[place].label == BENIGN)  # controls alternate with threats
    places = sorted(evenly_spaced_sample(kept, settings.validation_rows))
    validation = {place: candidates[place] for place in places}
    test = {len(candidates) + place: rows["test"][place] for place in _test(rows["test"], family, settings)}
    return Chosen(train, list(validation.values()), validation | test)


def families_of(row: Record) -> tuple[str, ...]:
    """Families whose obfuscation a row carries, parts of a composition included; none of a plain row."""
    if row.transform == NO_TRANSFORM:
        return ()
    return (row.family, *PARTS.get(row.transform, ()))


def _test(rows: Sequence[Record], family: str, settings: LeaveOneOut) -> list[int]:
    sides: dict[tuple[str, bool], list[int]] = {}
    for place, row in enumerate(rows):
        if row.transform != NO_TRANSFORM and family in (row.family, REFERENCE):
            sides.setdefault((row.family, row.label == BENIGN), []).append(place)
    for name in {family for family, _ in sides} or {family}:
        for benign, title in ((False, "threats"), (True, "matched controls")):
            if (name, benign) not in sides:
                raise HeldOutError(
                    f"the test split has no {title} of {name} obfuscated; run dvc repro --force synthesize"
                )
    return sorted(
        place for side in sides.values() for place in evenly_spaced_sample(side, settings.test_rows)
    )


def hold_out(
    params: Params,
    rows: Mapping[str, Sequence[Record]],
    family: str,
    normalizer: Callable[[str], Normalized],
    team: Workers,
) -> None:
    """Train a guard for one epoch without `family`, or the reference, and write its scores.

    Raises:
        HeldOutError: as in `choose_rows`.
    """
    settings = params.leave_one_out
    params = _one_epoch(params)
    chosen = choose_rows(rows, family, settings)
    choices = {"family": family, "parts": PARTS, "leave_one_out": settings.model_dump(exclude={"families"})}
    checkpoint = resume_state(f"without-{family}", params, settings.seed, sys.modules[__name__], **choices)
    splits = {"train": chosen.train, "validation": chosen.validation}
    guard, tokenizer, _ = fine_tune(params, splits, settings.seed, team, checkpoint)
    if not team.first:
        return
    columns = LEAVE_ONE_OUT.row_columns(chosen.scored)
    columns |= threat_by_reading(
        guard,
        feature_extractor(tokenizer, guard.config),
        normalizer,
        [row.text for row in chosen.scored.values()],
        params.train.batch_size,
    )
    LEAVE_ONE_OUT.write(LEAVE_ONE_OUT.folder / f"{family}.parquet", columns)
    checkpoint.remove()
    print(f"without {family}: {len(chosen.scored)} rows scored")


def _one_epoch(params: Params) -> Params:
    """The settings of training with its length those of `leave_one_out`."""
    settings = params.leave_one_out
    changes = {"epochs": 1, "rows_per_epoch": settings.rows, "validation_rows": settings.validation_rows}
    return params.model_copy(update={"train": params.train.model_copy(update=changes | {"report_to": []})})
