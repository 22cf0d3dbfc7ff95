"""What a routing table is built for: the settings that its hash covers."""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from tinyguardrail_common.param_types import Count, CountOrZero, Fraction, Positive, Strict

# Settings that came after the first tables: left out of the hashed JSON at their defaults, so
# that a table that does not use them keeps its hash.
_LATER = (
    "context_window_size",
    "frequency_threshold",
    "entropy_threshold",
    "confidence_threshold",
    "layer_skip_ratios",
)


class TableConfig(Strict):
    """The part of a `VARConfig` that a table depends on.

    The shares are targets: `table.build_table` turns them into thresholds on held-out
    validation text, so the shares on other text differ a little. A threshold that is given
    overrides its share.
    """

    model_config = ConfigDict(allow_inf_nan=False)

    preset: str = "balanced"
    learned_share: Fraction = 0.10  # of router calls, the least confident: kept by the stock router
    single_share: Fraction = 0.9  # of second experts in the layers that allow it: left out
    two_expert_layers: tuple[CountOrZero, ...] = (0,)  # layers that never drop an expert
    use_context: bool = True  # look up (previous token, token) before the token alone
    min_count: Count = 2  # occurrences that earn a context a row of its own
    smoothing: Positive = 2.0  # pseudo-calls of the backed-off estimate

    context_window_size: Literal[1, 2] = 2  # tokens of the longest context; 1 looks up tokens alone
    frequency_threshold: Count | None = None  # calls a row needs, token or context; None: 1 and `min_count`
    # Nats, of the row's experts; None: no limit.
    entropy_threshold: Annotated[float, Field(ge=0)] | None = None
    confidence_threshold: Fraction | None = None  # a surer row decides; None: from `learned_share`
    # Per layer: leave out experts whose weight is at most this part of the first one's; 0 keeps all.
    # Overrides `single_share` and `two_expert_layers`; None: from those.
    layer_skip_ratios: tuple[Fraction, ...] | None = None

    @property
    def looks_up_contexts(self) -> bool:
        return self.use_context and self.context_window_size > 1

    def decisions_json(self) -> str:
        """JSON that a table's hash covers; later settings appear where they are set."""
        fields = TableConfig.model_fields
        unset = {name for name in _LATER if getattr(self, name) == fields[name].default}
        return self.model_dump_json(include=fields.keys() - unset)
