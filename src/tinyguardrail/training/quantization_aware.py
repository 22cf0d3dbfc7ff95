"""Quantization-aware training: the forward pass sees the INT8 weights, the gradient goes to the fp32 ones.

The rounding is the one of `inference/quantize.py` (symmetric, one scale per row), passed straight
through in the backward step (Jacob et al. 2017, 1712.05877).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.func import functional_call

LEVELS = 127
TINY = torch.finfo(torch.float32).tiny


def fake_quantize(weight: torch.Tensor) -> torch.Tensor:
    """A matrix (rows, columns) rounded to its INT8 levels, with the gradient of the identity."""
    with torch.no_grad():
        scale = (weight.abs().amax(1, keepdim=True) / LEVELS).clamp_min(TINY)
        change = (weight / scale).round_().clamp_(-LEVELS, LEVELS).mul_(scale).sub_(weight)
    return weight + change


def forward_quantized(model: nn.Module, *inputs: torch.Tensor) -> Any:
    """The model's output with every matrix rounded."""
    rounded = {
        name: fake_quantize(parameter) for name, parameter in model.named_parameters() if parameter.ndim == 2
    }
    return functional_call(model, rounded, inputs)
