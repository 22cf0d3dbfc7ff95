"""The part `var` of `params.yaml`, and the names that it chooses from."""

from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from tinyguardrail_common.param_types import (
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

Corpus = Literal["docstrings", "wikitext_2"]
Preset = Literal["conservative", "balanced", "aggressive"]
RecipeName = Literal["plain", "token_kl", "entropy", "random_skip", "three_terms", "late_ratio_skip"]

PLAIN: RecipeName = "plain"  # which knows nothing of VAR


class VarModel(Strict):
    layers: Count
    hidden_size: Count
    intermediate_size: Count
    heads: Count
    experts: Annotated[int, Field(ge=2)]
    vocab_size: Annotated[int, Field(ge=257)]
    max_positions: Annotated[int, Field(ge=2)]

    @model_validator(mode="after")
    def heads_are_whole(self) -> Self:
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

    @model_validator(mode="after")
    def windows_overlap(self) -> Self:
        if self.stride >= self.window:
            raise ValueError(f"stride must be below window ({self.window})")
        return self


class VarSearch(Strict):
    model_seed: CountOrZero
    sampler_seed: CountOrZero
    trials: Count
    tokens: Annotated[int, Field(ge=2)]


class VarAblate(Strict):
    seeds: Seeds
    recipes: Annotated[list[RecipeName], Field(min_length=1)]

    @field_validator("recipes")
    @classmethod
    def plain_is_the_yardstick(cls, recipes: list[RecipeName]) -> list[RecipeName]:
        if PLAIN not in recipes or len(set(recipes)) < len(recipes):
            raise ValueError(f"must all differ, with {PLAIN} among them, which the others are measured by")
        return recipes


class VarLatency(Strict):
    repeats: Annotated[int, Field(ge=2)]
    search_repeats: Annotated[int, Field(ge=2)]
    phase_one_sequences: Count
    prefill_batches: Annotated[list[Count], Field(min_length=1)]
    decode_batches: list[Count]
    decode_prompt: Count
    decode_tokens: Count
    threads: Annotated[list[Count], Field(min_length=1)]


class Var(Strict):
    seeds: Seeds
    corpus: Corpus
    preset: Preset
    margin: OpenFraction
    model: VarModel
    train: VarTrain
    eval: VarEval
    search: VarSearch
    ablate: VarAblate
    latency: VarLatency

    @model_validator(mode="after")
    def seeds_are_trained(self) -> Self:
        for seed in (self.search.model_seed, *self.ablate.seeds):
            if seed not in self.seeds:
                raise ValueError(f"search.model_seed and ablate.seeds must be among seeds; {seed} is not")
        return self

    @model_validator(mode="after")
    def sequences_fit(self) -> Self:
        positions = self.model.max_positions
        if self.train.sequence_length > positions:
            raise ValueError(f"train.sequence_length must be at most model.max_positions ({positions})")
        if self.eval.window > positions:
            raise ValueError(f"eval.window must be at most model.max_positions ({positions})")
        return self
