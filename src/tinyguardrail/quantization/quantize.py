"""INT8 weights: symmetric, one scale per output channel and block of inputs, or per table row.

Departure from one scale per output channel: MiniLM's second feed-forward matrices hold a few
weights thirty standard deviations wide, and one such weight would coarsen a row of 1536. With a
scale for every `block_size` inputs it coarsens its own block.
"""

from collections.abc import Sequence

import numpy as np

SCALE_SUFFIX = ".scale"
LEVELS = 127  # symmetric: -127..127, so that zero stays zero and signs mirror
TABLES = ("embeddings.words.", "embeddings.positions.", "embeddings.characters.table.")
KEPT_FP32 = ("router.", ".mixture.gate.", ".classifier.")  # small, and each decides between few outcomes

Arrays = dict[str, np.ndarray]


def quantize_weights(weights: Arrays, block_size: int) -> Arrays:
    """Every matrix but the deciding ones becomes int8 with its scales beside it.

    Args:
        weights: fp32 tensors by name; linear weights are (out, in), tables (rows, width).
        block_size: inputs of a linear layer that share a scale; a table's rows have one each.

    Returns:
        name -> int8 (rows, columns) and name + ".scale" -> fp32 (rows, blocks) for matrices,
        name -> fp32 for vectors, convolutions, router, gates and classifiers.

    Raises:
        ValueError: a weight is not finite.
    """
    quantized: Arrays = {}
    for name, weight in weights.items():
        if not np.isfinite(weight).all():
            raise ValueError(f"{name} holds values that are not finite; train again")
        size = block_columns(name, weight.shape, block_size)
        if size is None:
            quantized[name] = weight
        else:
            quantized[name], quantized[name + SCALE_SUFFIX] = quantize_matrix(weight, size)
    return quantized


def block_columns(name: str, shape: Sequence[int], block_size: int) -> int | None:
    """Columns of a tensor that share a scale: as many as divide it equally and are at most `block_size`.

    A table's rows have one scale each. None for what stays fp32.
    """
    if len(shape) != 2 or any(part in name for part in KEPT_FP32):
        return None
    columns = shape[1]
    return columns if name.startswith(TABLES) else _equal_blocks(columns, block_size)


def _equal_blocks(columns: int, block_size: int) -> int:
    return next(
        columns // n for n in range(1, columns + 1) if columns % n == 0 and columns // n <= block_size
    )


def quantize_matrix(weight: np.ndarray, block_size: int) -> tuple[np.ndarray, np.ndarray]:
    """(rows, columns) fp32 -> int8 of the same shape, and scales (rows, blocks) fp32.

    There are as few blocks as are equally wide and at most `block_size` columns each.
    """
    rows, columns = weight.shape
    blocked = weight.reshape(rows, -1, _equal_blocks(columns, block_size))
    scale = np.abs(blocked).max(axis=2) / LEVELS
    scale = np.maximum(scale, np.finfo(np.float32).tiny).astype(np.float32)  # never zero
    levels = np.clip(np.rint(blocked / scale[:, :, None]), -LEVELS, LEVELS)
    return levels.astype(np.int8).reshape(rows, columns), scale


def dequantize_matrix(levels: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Inverse of `quantize_matrix` up to half a scale."""
    blocked = levels.reshape(*scale.shape, -1).astype(np.float32)
    return (blocked * scale[:, :, None]).reshape(levels.shape)


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
