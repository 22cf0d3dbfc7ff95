"""The part `export` of the parameters."""

from typing import Annotated

from pydantic import Field

from tinyguardrail_common.param_types import Count, OpenFraction, Positive, Strict


class Export(Strict):
    opset: Annotated[int, Field(ge=18, le=21)]
    parity_rows: Count
    parity_tolerance: Positive
    agreement_rows: Count
    agreement_false_positive_rate: OpenFraction
