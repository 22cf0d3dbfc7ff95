"""The settings of VAR and its three presets."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

from pydantic import ValidationError

from tinyguardrail_common.errors import UserError
from tinyguardrail_common.param_types import Count, CountOrZero, Fraction
from var_moe.params import Preset
from var_moe.routing.table_config import TableConfig


class VARConfig(TableConfig):
    """What a routing table is built for, and how a wrapper runs it; the latter is no part of a table's hash.

    Raises:
        pydantic.ValidationError: an unknown key, a wrong type or a value out of range.
    """

    enable_var: bool = True  # route by the table from the start
    track_performance: bool = True  # count calls by route
    cache_size: CountOrZero = 0  # contexts the online cache holds; 0: no online cache
    cache_ttl_tokens: Count = 65_536  # tokens routed until an entry of it is too old
    routing_stats_path: str | None = None  # where the statistics came from
    max_quality_degradation: Fraction = 0.01  # rise of perplexity that still counts as no loss

    def decisions(self) -> Self:
        """The part that a table depends on; every running setting at its default."""
        return type(self)(**self.model_dump(include=set(TableConfig.model_fields)))

    def to_json(self) -> str:
        return self.model_dump_json()

    @classmethod
    def from_json(cls, text: str) -> Self:
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
    def from_routing_stats(cls, path: Path | str, preset: Preset = "balanced", **settings: Any) -> Self:
        """A preset with its thresholds set on the calls that the statistics were collected on.

        Thresholds set on other text (`build_table` with held-out text) are the better ones: a
        context seen twice looks surer in its own statistics than it is. This way needs no text.

        Args:
            path: `routing_stats.parquet`.
            settings: fields that differ from the preset's; a threshold given stays as given.

        Raises:
            UserError: no readable statistics file.
        """
        from var_moe.routing.statistics_file import load_statistics  # with torch, which settings do without
        from var_moe.routing.thresholds import estimate_rows, set_thresholds

        chosen = get_config(preset).model_dump() | {"routing_stats_path": str(path)} | settings
        config = cls(**chosen)
        rows = estimate_rows(load_statistics(path), config)
        confidence, ratios = set_thresholds(rows, config, rows.calls)
        found = {
            "confidence_threshold": min(float(confidence), 1.0),
            "layer_skip_ratios": tuple(ratios.clamp_min(0).tolist()),
        }
        return cls(**(chosen | found))


def get_conservative_config() -> VARConfig:
    """Half the calls that may drop an expert do; for quality first."""
    return VARConfig(preset="conservative", learned_share=0.11, single_share=0.5)


def get_balanced_config() -> VARConfig:
    return VARConfig(preset="balanced", learned_share=0.10, single_share=0.9)


def get_aggressive_config() -> VARConfig:
    """One expert in every layer; for speed first."""
    return VARConfig(preset="aggressive", learned_share=0.05, single_share=1.0, two_expert_layers=())


PRESETS: dict[Preset, Callable[[], VARConfig]] = {
    "conservative": get_conservative_config,
    "balanced": get_balanced_config,
    "aggressive": get_aggressive_config,
}


def get_config(preset: Preset) -> VARConfig:
    """The configuration of a preset, by name."""
    return PRESETS[preset]()
