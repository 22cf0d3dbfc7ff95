"""The settings of VAR and its three presets."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tinyguardrail.errors import UserError

Preset = Literal["conservative", "balanced", "aggressive"]
Fraction = Annotated[float, Field(ge=0, le=1)]
CountOrZero = Annotated[int, Field(ge=0)]
Count = Annotated[int, Field(ge=1)]


class VARConfig(BaseModel):
    """What a routing table is built for, and how a wrapper runs it.

    The shares are targets: `table.build_table` turns them into thresholds on held-out
    validation text, so the shares on other text differ a little. A threshold that is given
    overrides its share. Running settings (the last group) are no part of a table's hash.

    Raises:
        pydantic.ValidationError: an unknown key, a wrong type or a value out of range.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)

    preset: str = "balanced"
    learned_share: Fraction = 0.10  # of router calls, the least confident: kept by the stock router
    single_share: Fraction = 0.9  # of second experts in the layers that allow it: left out
    two_expert_layers: tuple[CountOrZero, ...] = (0,)  # layers that never drop an expert
    use_context: bool = True  # look up (previous token, token) before the token alone
    min_count: Count = 2  # occurrences that earn a context a row of its own
    smoothing: Annotated[float, Field(gt=0)] = 2.0  # pseudo-calls of the backed-off estimate

    context_window_size: Literal[1, 2] = 2  # tokens of the longest context; 1 looks up tokens alone
    frequency_threshold: Count | None = None  # calls a row needs, token or context; None: 1 and `min_count`
    entropy_threshold: Annotated[float, Field(ge=0)] | None = (
        None  # nats, of the row's experts; None: no limit
    )
    confidence_threshold: Fraction | None = None  # a surer row decides; None: from `learned_share`
    # Per layer: leave out experts whose weight is at most this part of the first one's; 0 keeps all.
    # Overrides `single_share` and `two_expert_layers`; None: from those.
    layer_skip_ratios: tuple[Fraction, ...] | None = None

    enable_var: bool = True  # route by the table from the start
    track_performance: bool = True  # count calls by route
    cache_size: CountOrZero = 0  # contexts the online cache holds; 0: no online cache
    cache_ttl_tokens: Count = 65_536  # tokens routed until an entry of it is too old
    routing_stats_path: str | None = None  # where the statistics came from
    max_quality_degradation: Fraction = 0.01  # rise of perplexity that still counts as no loss

    @property
    def looks_up_contexts(self) -> bool:
        return self.use_context and self.context_window_size > 1

    def decisions(self) -> VARConfig:
        """The part that a table depends on; every running setting at its default."""
        return self.model_copy(update={name: field.default for name, field in _running_fields().items()})

    def decisions_json(self) -> str:
        """JSON of `decisions`, what a table's hash covers; later settings appear where they are set."""
        later = {name for name in _LATER if getattr(self, name) == type(self).model_fields[name].default}
        return self.model_dump_json(exclude=later | set(_running_fields()))

    def to_json(self) -> str:
        return self.model_dump_json()

    @classmethod
    def from_json(cls, text: str) -> VARConfig:
        """Read what `to_json` or `decisions_json` wrote.

        Raises:
            UserError: no JSON, an unknown key, a wrong type or a value out of range.
        """
        try:
            return cls.model_validate_json(text)
        except ValidationError as error:
            first = error.errors()[0]
            key = ".".join(str(part) for part in first["loc"]) or "(whole text)"
            raise UserError(f"VAR configuration, {key}: {first['msg']}") from None

    @classmethod
    def from_routing_stats(cls, path: Path | str, preset: Preset = "balanced", **settings: Any) -> VARConfig:
        """A preset with its thresholds set on the calls that the statistics were collected on.

        Thresholds set on other text (`build_table` with held-out text) are the better ones: a
        context seen twice looks surer in its own statistics than it is. This way needs no text.

        Args:
            path: `routing_stats.parquet`.
            settings: fields that differ from the preset's; a threshold given stays as given.

        Raises:
            UserError: no readable statistics file.
        """
        from var_moe.statistics_file import load_statistics
        from var_moe.thresholds import in_sample_thresholds

        chosen = get_config(preset).model_dump() | {"routing_stats_path": str(path)} | settings
        config = cls(**chosen)
        found = in_sample_thresholds(load_statistics(path), config)
        return cls(**(chosen | {name: value for name, value in found.items() if chosen[name] is None}))


# Settings that came after the first tables: left out of the hashed JSON at their defaults, so
# that a table that does not use them keeps its hash.
_LATER = (
    "context_window_size",
    "frequency_threshold",
    "entropy_threshold",
    "confidence_threshold",
    "layer_skip_ratios",
)
_RUNNING = (
    "enable_var",
    "track_performance",
    "cache_size",
    "cache_ttl_tokens",
    "routing_stats_path",
    "max_quality_degradation",
)


def _running_fields() -> dict[str, Any]:
    return {name: VARConfig.model_fields[name] for name in _RUNNING}


def get_conservative_config() -> VARConfig:
    """Half the calls that may drop an expert do; for quality first."""
    return VARConfig(preset="conservative", learned_share=0.11, single_share=0.5)


def get_balanced_config() -> VARConfig:
    return VARConfig(preset="balanced", learned_share=0.10, single_share=0.9)


def get_aggressive_config() -> VARConfig:
    """One expert in every layer; for speed first."""
    return VARConfig(preset="aggressive", learned_share=0.05, single_share=1.0, two_expert_layers=())


def get_config(preset: Preset) -> VARConfig:
    """The configuration of a preset, by name."""
    presets = {
        "conservative": get_conservative_config,
        "balanced": get_balanced_config,
        "aggressive": get_aggressive_config,
    }
    return presets[preset]()
