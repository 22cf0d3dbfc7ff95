"""The part `train` of the parameters."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from tinyguardrail_common.param_types import Count, CountOrZero, Fraction, OpenFraction, Positive, Strict


class Train(Strict):
    epochs: Count
    rows_per_epoch: Count | None
    weights: dict[str, Positive]
    window_tokens: Annotated[int, Field(ge=8, le=512)]
    validation_rows: Count
    batch_size: Count
    accumulation_steps: Count
    learning_rate: Positive
    head_learning_rate: Positive
    weight_decay: Annotated[float, Field(ge=0)]
    warmup_fraction: Fraction
    clip_norm: Positive
    precision: Literal["bf16", "fp32"]
    focal_alpha: Annotated[float, Field(gt=0, le=1)]
    focal_gamma: Annotated[float, Field(ge=0)]
    router_weight: Annotated[float, Field(ge=0)]
    ratio_weight: Annotated[float, Field(ge=0)]
    balance_weight: Annotated[float, Field(ge=0)]
    threat_weight: Annotated[float, Field(ge=0)]
    energy_weight: Annotated[float, Field(ge=0)]
    energy_margin: Annotated[float, Field(ge=0)]
    deep_share: OpenFraction
    adversarial_epoch: CountOrZero | None
    adversarial_steps: Count
    adversarial_epsilon: Positive
    adversarial_weight: Annotated[float, Field(ge=0)]
    quantization_aware_epoch: CountOrZero | None
    early_stopping_patience: Count | None
    report_to: list[Literal["tensorboard", "wandb"]]
    checkpoint_seconds: Annotated[float, Field(ge=0)]

    @model_validator(mode="after")
    def weights_need_a_draw(self) -> Self:
        if self.weights and self.rows_per_epoch is None:
            raise ValueError("weights say what is drawn, but rows_per_epoch is null and every row is seen")
        return self
