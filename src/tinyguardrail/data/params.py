"""The part `data` of the parameters: which sources, and how texts are split."""

from typing import Annotated

from pydantic import Field

from tinyguardrail_common.param_types import CountOrZero, Split


class Data(Split):
    sources: Annotated[list[str], Field(min_length=1)]
    docstring_packages: list[str]
    max_characters: Annotated[int, Field(ge=1000)]
    split_seed: CountOrZero
