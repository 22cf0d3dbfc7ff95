"""Quantization-aware training: the forward pass sees the INT8 weights, the gradient goes to the fp32 ones.

The rounding is the one of `inference/quantize.py`, passed straight through in the backward step
(Jacob et al. 2017, 1712.05877).
"""

from typing import Any

import torch
from torch import nn
from torch.func import functional_call

from tinyguardrail.quantization.quantize import LEVELS, block_columns

TINY = torch.finfo(torch.float32).tiny
WRAPPER = "module."  # before the names of a model whose gradients are shared between processes


def fake_quantize(weight: torch.Tensor, columns: int) -> torch.Tensor:
    """A matrix rounded to its INT8 levels, `columns` to a scale, with the gradient of the identity."""
    with torch.no_grad():
        blocked = weight.reshape(-1, columns)
        scale = (blocked.abs().amax(1, keepdim=True) / LEVELS).clamp_min(TINY)
        rounded = (blocked / scale).round_().clamp_(-LEVELS, LEVELS).mul_(scale)
        change = rounded.view_as(weight).sub_(weight)
    return weight + change


def forward_quantized(model: nn.Module, block_size: int, *inputs: torch.Tensor) -> Any:
    """The model's output with the weights that the `quantize` stage rounds."""
    rounded = {}
    for name, parameter in model.named_parameters():
        columns = block_columns(name.removeprefix(WRAPPER), parameter.shape, block_size)
        if columns is not None:
            rounded[name] = fake_quantize(parameter, columns)
    return functional_call(model, rounded, inputs)
