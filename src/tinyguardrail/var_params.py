"""The part `var` of `params.yaml`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from tinyguardrail.param_types import (
    Count,
    CountOrZero,
    Fraction,
    OpenFraction,
    Positive,
    PositiveFraction,
    Seeds,
    Split,
    Strict,
)
from var_moe.recipes import RecipeName


class VarModel(Strict):
    layers: Count
    hidden_size: Count
    intermediate_size: Count
    heads: Count
    experts: Annotated[int, Field(ge=2)]
    vocab_size: Annotated[int, Field(ge=257)]
    max_positions: Annotated[int, Field(ge=2)]

    @model_validator(mode="after")
    def heads_are_whole(self) -> VarModel:
        if self.hidden_size % (2 * self.heads):
            raise ValueError(f"hidden_size must be a multiple of 2 * heads ({2 * self.heads})")
        return self


class VarTrain(Split):
    tokenizer_documents: Count
    sequence_length: Annotated[int, Field(ge=2)]
    batch_size: Count
    steps: Count
    learning_rate: Positive
    warmup_fraction: Fraction
    weight_decay: Annotated[float, Field(ge=0)]
    clip_norm: Positive
    balance_weight: Annotated[float, Field(ge=0)]
    recipe: RecipeName
    token_weight: Positive
    entropy_weight: Positive
    drop_second: PositiveFraction
    late_from: OpenFraction
    late_drop: PositiveFraction
    late_whole: Fraction


class VarEval(Strict):
    statistics_sequences: Count
    threshold_sequences: Count
    test_tokens: Annotated[int, Field(ge=2)]
    window: Annotated[int, Field(ge=2)]
    stride: Count
    batch_size: Count
    repeats: Annotated[int, Field(ge=2)]
    phase_one_sequences: Count
    prefill_batches: Annotated[list[Count], Field(min_length=1)]
    decode_batches: list[Count]
    decode_prompt: Count
    decode_tokens: Count
    threads: Annotated[list[Count], Field(min_length=1)]

    @model_validator(mode="after")
    def windows_overlap(self) -> VarEval:
        if self.stride >= self.window:
            raise ValueError(f"stride must be below window ({self.window})")
        return self


class VarSearch(Strict):
    model_seed: CountOrZero
    sampler_seed: CountOrZero
    trials: Count
    tokens: Annotated[int, Field(ge=2)]
    repeats: Annotated[int, Field(ge=2)]


class VarAblate(Strict):
    seeds: Seeds


class Var(Strict):
    seeds: Seeds
    corpus: Literal["docstrings", "wikitext_2"]
    preset: Literal["conservative", "balanced", "aggressive"]
    margin: OpenFraction
    model: VarModel
    train: VarTrain
    eval: VarEval
    search: VarSearch
    ablate: VarAblate

    @model_validator(mode="after")
    def seeds_are_trained(self) -> Var:
        for seed in (self.search.model_seed, *self.ablate.seeds):
            if seed not in self.seeds:
                raise ValueError(f"search.model_seed and ablate.seeds must be among seeds; {seed} is not")
        return self

    @model_validator(mode="after")
    def sequences_fit(self) -> Var:
        positions = self.model.max_positions
        if self.train.sequence_length > positions:
            raise ValueError(f"train.sequence_length must be at most model.max_positions ({positions})")
        if self.eval.window > positions:
            raise ValueError(f"eval.window must be at most model.max_positions ({positions})")
        return self
