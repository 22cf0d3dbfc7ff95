"""INT8 weights: symmetric, one scale per output channel or table row."""

from __future__ import annotations

import numpy as np

SCALE_SUFFIX = ".scale"
LEVELS = 127  # symmetric: -127..127, so that zero stays zero and signs mirror

Arrays = dict[str, np.ndarray]


def quantize_weights(weights: Arrays, per_channel: bool = True) -> Arrays:
    """Every matrix becomes int8 with its scale beside it; vectors and convolutions stay fp32.

    Args:
        weights: fp32 tensors by name; linear weights are (out, in), tables (rows, width).
        per_channel: one scale per row of each matrix, or one for the whole matrix.

    Returns:
        name -> int8 (rows, columns) and name + ".scale" -> fp32 (rows,) for matrices,
        name -> fp32 for the rest.

    Raises:
        ValueError: a weight is not finite.
    """
    quantized: Arrays = {}
    for name, weight in weights.items():
        if not np.isfinite(weight).all():
            raise ValueError(f"{name} holds values that are not finite; train again")
        if weight.ndim == 2:
            quantized[name], quantized[name + SCALE_SUFFIX] = quantize_matrix(weight, per_channel)
        else:
            quantized[name] = weight
    return quantized


def quantize_matrix(weight: np.ndarray, per_channel: bool = True) -> tuple[np.ndarray, np.ndarray]:
    """(rows, columns) fp32 -> int8 of the same shape, and scales (rows,) fp32."""
    largest = np.abs(weight).max(axis=1 if per_channel else None, keepdims=True)
    scale = np.maximum(largest / LEVELS, np.finfo(np.float32).tiny).astype(np.float32)  # never zero
    levels = np.clip(np.rint(weight / scale), -LEVELS, LEVELS).astype(np.int8)
    return levels, np.broadcast_to(scale, (len(weight), 1))[:, 0].copy()


def dequantize_matrix(levels: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Inverse of `quantize_matrix` up to half a scale."""
    return levels.astype(np.float32) * scale[:, None]


def size_table(weights: Arrays, quantized: Arrays) -> dict[str, float | int]:
    """Bytes of the weights before and after, in MB of 1e6 bytes, and the largest rounding error."""
    errors = [
        float(np.abs(dequantize_matrix(quantized[name], quantized[name + SCALE_SUFFIX]) - weight).max())
        for name, weight in weights.items()
        if name + SCALE_SUFFIX in quantized
    ]
    return {
        "parameters": int(sum(weight.size for weight in weights.values())),
        "fp32_mb": sum(weight.nbytes for weight in weights.values()) / 1e6,
        "int8_mb": sum(weight.nbytes for weight in quantized.values()) / 1e6,
        "largest_weight_error": max(errors),
    }
