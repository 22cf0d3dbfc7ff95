"""The part `quantize` of the parameters."""

from tinyguardrail_common.param_types import Count, Strict


class Quantize(Strict):
    block_size: Count
