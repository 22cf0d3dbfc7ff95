"""The product of activations and INT8 weights as graph operators: both sides in 8-bit integers.

Departure from ONNX Runtime's dynamic quantization, which rounds a whole batch on one range: here
each token is rounded on its own largest value, and on one per block of inputs. Padding and other
texts then change nothing, and a single wide value coarsens one token only.
"""

import numpy as np

from tinyguardrail.export.graph_builder import MICROSOFT, GraphBuilder
from tinyguardrail.quantization.quantize import LEVELS

UINT8_MIDDLE, UINT8_LEVELS = 128, 255  # the zero point of a two-sided range; steps of a one-sided one
SMALLEST = np.finfo(np.float32).tiny  # of a range: a token of zeros is not divided by zero


def integer_matmul(
    g: GraphBuilder, hidden: str, levels: np.ndarray, scale: np.ndarray, one_sided: bool = False
) -> str:
    """x W^T, (B, T, outputs).

    Args:
        g: where the operators go.
        hidden: name of x, (B, T, inputs).
        levels, scale: W as `quantize_matrix` returns it, (outputs, inputs) and (outputs, blocks).
        one_sided: no value of x is negative, so all 255 steps are spent above zero.
    """
    blocks = scale.shape[1]
    zero, steps = (0, UINT8_LEVELS) if one_sided else (UINT8_MIDDLE, LEVELS)
    zero_point, step = g.constant(np.uint8(zero)), g.constant(np.float32(1 / steps))
    if blocks > 1:
        shape = g.constant([0, 0, blocks, levels.shape[1] // blocks], np.int64)
        hidden = g.op("Reshape", hidden, shape)
    largest = _largest(g, hidden, one_sided)
    rounded = g.op("QuantizeLinear", g.op("Div", hidden, largest), step, zero_point)
    products = []
    for part, most, block, scales in zip(
        _split(g, rounded, blocks),
        _split(g, largest, blocks),
        np.split(levels, blocks, axis=1),
        scale.T,
        strict=True,
    ):
        inputs = (part, g.constant(block.T), step, g.constant(scales), zero_point)
        product = g.op("MatMulIntegerToFloat", *inputs, domain=MICROSOFT)
        products.append(g.op("Mul", product, most))
    if blocks == 1:
        return products[0]
    return g.op("Squeeze", g.op("Sum", *products), g.constant([2], np.int64))


def _largest(g: GraphBuilder, hidden: str, one_sided: bool) -> str:
    """Largest magnitude over the last axis, which stays with size 1."""
    magnitude = hidden if one_sided else g.op("Abs", hidden)
    largest = g.op("ReduceMax", magnitude, g.constant([-1], np.int64), keepdims=1)
    return g.op("Max", largest, g.constant(SMALLEST))


def _split(g: GraphBuilder, tensor: str, blocks: int) -> list[str]:
    """(B, T, blocks, n) -> one (B, T, 1, n) per block."""
    return [tensor] if blocks == 1 else g.ops("Split", blocks, tensor, axis=2, num_outputs=blocks)
