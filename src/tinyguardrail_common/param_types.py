"""What the settings of `params.yaml` are made of: ranges, and a model that allows no unknown key."""

from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator


def _all_differ(seeds: list[int]) -> list[int]:
    if len(set(seeds)) != len(seeds):
        raise ValueError("must all differ")
    return seeds


Fraction = Annotated[float, Field(ge=0, le=1)]
OpenFraction = Annotated[float, Field(gt=0, lt=1)]
PositiveFraction = Annotated[float, Field(gt=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]
CountOrZero = Annotated[int, Field(ge=0)]
Seeds = Annotated[list[CountOrZero], Field(min_length=1), AfterValidator(_all_differ)]


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Split(Strict):
    """Shares of the documents that are kept from training."""

    validation_fraction: OpenFraction
    test_fraction: OpenFraction

    @model_validator(mode="after")
    def leave_some_to_train_on(self) -> Self:
        if self.validation_fraction + self.test_fraction >= 1:
            raise ValueError("validation_fraction + test_fraction must be below 1")
        return self
