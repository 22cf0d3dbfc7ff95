"""Small files in the formats in which pretrained encoders come, written apart from what reads them."""

import struct
import zipfile
from pathlib import Path

import numpy as np

SPECIAL = ["<s>", "<pad>", "</s>", "<unk>"]
WORDS = ["▁", "a", "b", "c", "～", "~", "1", "▁ab", "▁abc", "bc", "é", "<mask>"]
SIZES = {"hidden": 32, "layers": 2, "heads": 4, "intermediate": 64, "rows": 20, "positions": 16, "types": 2}
SQUARE = ("q", "k", "v", "ao")


def q4_0(levels: np.ndarray, scales: np.ndarray) -> bytes:
    """Blocks of 32 whole numbers from -8 to 7, `levels` (blocks, 32), each block with a scale."""
    content = b""
    for block, scale in zip(levels, scales, strict=True):
        halves = [int(block[j] + 8) | int(block[j + 16] + 8) << 4 for j in range(16)]
        content += struct.pack("<e", scale) + bytes(halves)
    return content


def e5_tensors(rng: np.random.Generator) -> dict[str, tuple[np.ndarray, int, bytes]]:
    """Value, kind and bytes of every tensor of a model of `SIZES`, by its short name."""
    hidden, inner = SIZES["hidden"], SIZES["intermediate"]
    matrices = {"emb.word": (SIZES["rows"], hidden)}
    plain = {"emb.pos": (SIZES["positions"], hidden), "emb.type": (SIZES["types"], hidden)}
    plain |= {"emb.ln.w": (hidden,), "emb.ln.b": (hidden,)}
    for layer in range(SIZES["layers"]):
        matrices |= {f"l{layer}.{part}.w": (hidden, hidden) for part in SQUARE}
        matrices |= {f"l{layer}.fi.w": (inner, hidden), f"l{layer}.fo.w": (hidden, inner)}
        plain |= {f"l{layer}.{part}.b": (hidden,) for part in (*SQUARE, "fo")}
        plain |= {f"l{layer}.{norm}.{side}": (hidden,) for norm in ("aln", "oln") for side in "wb"}
        plain[f"l{layer}.fi.b"] = (inner,)
    tensors = {}
    for name, shape in matrices.items():
        levels = rng.integers(-8, 8, (int(np.prod(shape)) // 32, 32))
        scales = rng.uniform(0.01, 0.2, len(levels)).astype(np.float16)
        value = (levels * scales.astype(np.float64)[:, None]).reshape(shape).astype(np.float32)
        tensors[name] = (value, 1, q4_0(levels, scales))
    for name, shape in plain.items():
        value = rng.normal(1.0 if name.endswith("ln.w") else 0.0, 0.1, shape).astype(np.float32)
        tensors[name] = (value, 0, value.tobytes())
    return tensors


def write_e5(path: Path, tensors: dict[str, tuple[np.ndarray, int, bytes]], magic: bytes = b"E5S1") -> None:
    pieces = [piece.encode() for piece in [*SPECIAL, *WORDS]]
    scores = [0.0] * len(SPECIAL) + [-float(3 + n) for n in range(len(WORDS))]
    scores[pieces.index("▁ab".encode())] = -4.5
    scores[pieces.index("▁abc".encode())] = -5.0
    head = magic + struct.pack("<I7ifi", 1, *SIZES.values(), 1e-12, 32)
    head += struct.pack("<5iQ", len(pieces), 0, 2, 1, 3, sum(map(len, pieces)))
    head += np.cumsum([0, *map(len, pieces)]).astype("<u4").tobytes()
    head += np.array(scores, "<f4").tobytes() + b"".join(pieces)
    head += struct.pack("<iI", 1, 9) + struct.pack("<IBI", 0xA0, 1, 0x20)  # a table of one code point
    place = len(head) + 4 + sum(2 + len(name) + 21 for name in tensors)
    directory = struct.pack("<i", len(tensors))
    for name, (value, kind, content) in tensors.items():
        directory += struct.pack("<H", len(name)) + name.encode()
        directory += struct.pack("<BIQQ", kind, value.size, place, len(content))
        place += len(content)
    path.write_bytes(head + directory + b"".join(content for _, _, content in tensors.values()))


def write_wheel(folder: Path, package: str, version: str, files: dict[str, bytes]) -> Path:
    """A wheel as far as a reader of its data sees it."""
    path = folder / f"{package.replace('-', '_')}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path
