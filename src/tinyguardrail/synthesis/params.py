"""The parts `hard_negatives`, `compositions` and `attacks` of the parameters."""

from typing import Annotated, Protocol

from pydantic import Field, create_model

from tinyguardrail.attacks.registry import FAMILIES
from tinyguardrail.data.params import Data
from tinyguardrail_common.param_types import Count, CountOrZero, Fraction, Strict


class HardNegatives(Strict):
    trigger_words: CountOrZero
    documentation_share: Fraction
    technical_documentation: CountOrZero
    code: CountOrZero
    borderline: CountOrZero
    topics: CountOrZero
    scenarios: CountOrZero
    documents: CountOrZero


class Compositions(Strict):
    direct_injection: CountOrZero
    jailbreak: CountOrZero
    english_share: Fraction


class AttackRows(Strict):
    """What all families share."""

    validation_rows: Count
    test_rows: Count
    test_sources: Annotated[list[str], Field(min_length=1)]
    max_characters: Annotated[int, Field(ge=20)]


# Training rows of each family, by its name.
Attacks = create_model("Attacks", __base__=AttackRows, **dict.fromkeys(FAMILIES, (CountOrZero, ...)))


class SynthesisParams(Protocol):
    """The parts of the parameters that `synthesize` reads."""

    data: Data
    hard_negatives: HardNegatives
    compositions: Compositions
    attacks: Attacks
