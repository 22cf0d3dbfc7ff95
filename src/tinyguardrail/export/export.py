"""Export of a trained guard to ONNX, and the proof that nothing changed on the way."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.numpy import load_file

from tinyguardrail.export.guard_graph import build_guard_graph
from tinyguardrail.export.router_scale import rescaled
from tinyguardrail.model.build import feature_extractor
from tinyguardrail.model.features import Window
from tinyguardrail.model.modeling import GuardForSequenceClassification
from tinyguardrail.runtime.guard import (
    ALWAYS_DEEP,
    CHARACTER_LM_FILE,
    CONFIG_FILE,
    TOKENIZER_FILE,
    Guard,
    onnx_file,
)
from tinyguardrail_common.errors import UserError
from tinyguardrail_common.files import read_json, write_json

PARITY_BATCH = 8


class ParityError(UserError):
    """The exported graph does not compute what the trained model computes."""


def write_graphs(
    folder: Path,
    guard: GuardForSequenceClassification,
    tokenizer,
    quantized: Path,
    language_model: Path,
    opset: int,
) -> None:
    """Write the fp32 and INT8 graphs with all that the guard needs beside them."""
    write_json(folder / CONFIG_FILE, json.loads(guard.config.to_json_string(use_diff=False)))
    tokenizer.save(str(folder / TOKENIZER_FILE))
    shutil.copyfile(language_model, folder / CHARACTER_LM_FILE)
    for precision, tensors in weights_by_precision(guard, quantized).items():
        write_graph(folder, precision, tensors, opset)


def set_router_scales(
    folder: Path,
    guard: GuardForSequenceClassification,
    quantized: Path,
    opset: int,
    texts: Sequence[str],
    deep_share: float,
    threads: int,
) -> None:
    """Write both graphs again, each with its router's scale set by its own scores of validation texts."""
    for precision, tensors in weights_by_precision(guard, quantized).items():
        scored = rescaled(tensors, Guard.load(folder, precision, threads), texts, deep_share)
        write_graph(folder, precision, scored, opset)


def weights_by_precision(
    guard: GuardForSequenceClassification, quantized: Path
) -> dict[str, dict[str, np.ndarray]]:
    """The tensors of each graph by name."""
    exact = {name: tensor.numpy() for name, tensor in guard.state_dict().items()}
    return {"fp32": exact, "int8": load_file(quantized)}


def write_graph(folder: Path, precision: str, tensors: dict[str, np.ndarray], opset: int) -> None:
    """Write one graph by the configuration in the folder; the same tensors give the same bytes."""
    graph = build_guard_graph(tensors, read_json(folder / CONFIG_FILE), opset)
    (folder / onnx_file(precision)).write_bytes(graph.SerializeToString(deterministic=True))


def check_parity(
    folder: Path,
    guard: GuardForSequenceClassification,
    tokenizer,
    texts: Sequence[str],
    tolerance: float,
    threads: int,
) -> dict[str, Any]:
    """Compare both graphs with torch on both branches of every text.

    Returns:
        Per precision: size in MB, largest difference of a logit from torch's, and the share
        of texts whose routed label is the same.

    Raises:
        ParityError: an fp32 logit differs by more than `tolerance`.
    """
    windows = feature_extractor(tokenizer, guard.config).windows(texts)
    expected = torch_logits(guard, tokenizer, windows)
    report: dict[str, Any] = {}
    for precision in ("fp32", "int8"):
        path = folder / onnx_file(precision)
        found = onnx_logits(Guard.load(folder, precision, threads), windows)
        difference = max(float(np.abs(found[name] - expected[name]).max()) for name in ("fast", "deep"))
        if precision == "fp32" and not difference <= tolerance:
            raise ParityError(f"{path}: logits differ from torch by {difference:.6f}, allowed {tolerance}")
        same = found["routed"].argmax(-1) == expected["routed"].argmax(-1)
        report[precision] = {
            "size_mb": round(path.stat().st_size / 1e6, 3),
            "max_abs_difference": round(difference, 5),
            "intent_agreement": float(same.mean()),
        }
    return report


@torch.no_grad()
def torch_logits(
    guard: GuardForSequenceClassification, tokenizer, windows: Sequence[Window]
) -> dict[str, np.ndarray]:
    """Logits (windows, intents) of both branches and of the routed one, in window order."""
    extractor = feature_extractor(tokenizer, guard.config)
    outputs = [
        guard(
            *(torch.from_numpy(array) for array in extractor.collate(windows[start : start + PARITY_BATCH]))
        )
        for start in range(0, len(windows), PARITY_BATCH)
    ]
    return {
        name: torch.cat([output[key] for output in outputs]).numpy()
        for name, key in (("fast", "fast_logits"), ("deep", "deep_logits"), ("routed", "logits"))
    }


def onnx_logits(guard: Guard, windows: Sequence[Window]) -> dict[str, np.ndarray]:
    """The same three from a graph, from one run of both branches."""
    both = guard.run_windows(windows, ALWAYS_DEEP, PARITY_BATCH)
    deep = both.router_score >= guard.router_threshold
    routed = np.where(deep[:, None], both.deep_logits, both.fast_logits)
    return {"fast": both.fast_logits, "deep": both.deep_logits, "routed": routed}
