"""The part `model` of the parameters."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from tinyguardrail_common.param_types import Count, Strict

MINILM_LAYERS = 6


class Model(Strict):
    vocab_size: Annotated[int, Field(ge=2500, le=30522)]
    max_position_embeddings: Annotated[int, Field(ge=8, le=512)]
    chars_per_token: Annotated[int, Field(ge=5, le=64)]
    char_table_size: Annotated[int, Field(ge=512)]
    char_dim: Count
    char_filters: Count
    char_kernel_sizes: Annotated[list[Count], Field(min_length=1)]
    fast_layers: Annotated[int, Field(ge=1, le=5)]
    deep_layers: Annotated[int, Field(ge=1, le=5)]
    num_experts: Annotated[int, Field(ge=2)]
    num_experts_per_text: Count
    expert_noise: Annotated[float, Field(ge=0)]
    router_hidden: Count
    dropout: Annotated[float, Field(ge=0, lt=1)]

    @model_validator(mode="after")
    def layers_and_experts_exist(self) -> Self:
        if self.fast_layers + self.deep_layers > MINILM_LAYERS:
            raise ValueError(f"fast_layers and deep_layers must be at most {MINILM_LAYERS} together")
        if self.num_experts_per_text > self.num_experts:
            raise ValueError(f"num_experts_per_text must be at most num_experts ({self.num_experts})")
        return self
