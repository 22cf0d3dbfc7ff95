"""The settings of VAR and its three presets."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Preset = Literal["conservative", "balanced", "aggressive"]
Fraction = Annotated[float, Field(ge=0, le=1)]


class VARConfig(BaseModel):
    """What a routing table is built for.

    The shares are targets: `table.build_table` turns them into thresholds on held-out
    validation text, so the shares on other text differ a little.

    Raises:
        pydantic.ValidationError: an unknown key, a wrong type or a value out of range.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    preset: str = "balanced"
    learned_share: Fraction = 0.10  # of router calls, the least confident: kept by the stock router
    single_share: Fraction = 0.9  # of calls in the layers that allow it: one expert instead of two
    two_expert_layers: tuple[Annotated[int, Field(ge=0)], ...] = (0,)  # layers that never drop an expert
    use_context: bool = True  # look up (previous token, token) before the token alone
    min_count: Annotated[int, Field(ge=1)] = 2  # occurrences that earn a context a row of its own
    smoothing: Annotated[float, Field(gt=0)] = 2.0  # pseudo-calls of the backed-off estimate

    def to_json(self) -> str:
        return self.model_dump_json()

    @classmethod
    def from_json(cls, text: str) -> VARConfig:
        return cls.model_validate_json(text)


def get_conservative_config() -> VARConfig:
    """Half the calls that may drop an expert do; for quality first."""
    return VARConfig(preset="conservative", learned_share=0.11, single_share=0.5)


def get_balanced_config() -> VARConfig:
    return VARConfig(preset="balanced", learned_share=0.10, single_share=0.9)


def get_aggressive_config() -> VARConfig:
    """One expert wherever a layer allows it; for speed first."""
    return VARConfig(preset="aggressive", learned_share=0.05, single_share=1.0)


def get_config(preset: Preset) -> VARConfig:
    """The configuration of a preset, by name."""
    presets = {
        "conservative": get_conservative_config,
        "balanced": get_balanced_config,
        "aggressive": get_aggressive_config,
    }
    return presets[preset]()
