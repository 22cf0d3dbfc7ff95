"""Text for the reference model: documents, splits by module, tokenizer, packed sequences."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from torch import Tensor

from tinyguardrail.errors import UserError

END_OF_TEXT = "<|endoftext|>"
SPLITS = ("train", "validation", "test")


class CorpusError(UserError):
    """Text that cannot be used."""


@dataclass(frozen=True)
class Document:
    group: str  # documents of one group always share a split
    name: str
    text: str


def read_documents(corpus: str, raw: Path) -> list[Document]:
    """The documents of a corpus, in the order of a hash of their names.

    The mined file is sorted by package; hashing mixes it, so that a prefix is a fair sample.

    Raises:
        CorpusError: the corpus is unknown, its file is missing or holds no text.
    """
    if corpus != "docstrings":
        raise CorpusError(f"unknown corpus {corpus!r}; known: docstrings")
    path = Path(raw) / "docstrings.parquet"
    if not path.exists():
        raise CorpusError(f"{path} is missing: run the fetch stage first")
    rows = pq.read_table(path, columns=["package", "module", "name", "text"]).to_pylist()
    documents = [
        Document(f"{row['package']}/{row['module']}", row["name"], row["text"]) for row in rows if row["text"]
    ]
    if not documents:
        raise CorpusError(f"{path} holds no text")
    return sorted(documents, key=lambda document: _digest(document.group, document.name, document.text))


def split_documents(
    documents: Sequence[Document], validation_fraction: float, test_fraction: float
) -> dict[str, list[Document]]:
    """Assign whole groups to splits by a hash of the group's name, then drop exact duplicates.

    A text that stands in several splits is kept once, in test before validation before
    train; the fractions are of groups.

    Raises:
        CorpusError: a split is empty.
    """
    splits: dict[str, list[Document]] = {name: [] for name in SPLITS}
    for document in documents:
        position = int.from_bytes(_digest("split", document.group)[:8], "big") / 2**64
        if position < test_fraction:
            splits["test"].append(document)
        elif position < test_fraction + validation_fraction:
            splits["validation"].append(document)
        else:
            splits["train"].append(document)
    seen: set[str] = set()
    for name in reversed(SPLITS):
        kept = []
        for document in splits[name]:
            if document.text.strip() not in seen:
                seen.add(document.text.strip())
                kept.append(document)
        splits[name] = kept
        if not kept:
            raise CorpusError(f"split {name!r} is empty: {len(documents)} documents are too few")
    return splits


def train_tokenizer(documents: Sequence[Document], vocab_size: int) -> Tokenizer:
    """A byte-level BPE tokenizer; the same documents give the same tokenizer."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=[END_OF_TEXT],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator((document.text for document in documents), trainer)
    return tokenizer


def pack(documents: Sequence[Document], tokenizer: Tokenizer, length: int, limit: int) -> Tensor:
    """Token ids of documents laid end to end, cut into sequences.

    Each document is followed by the end-of-text token; the incomplete last sequence is left
    out. Only as many documents are encoded as `limit` sequences need.

    Returns:
        (N, length) int64 with N <= limit.

    Raises:
        CorpusError: the documents do not fill one sequence.
    """
    end = tokenizer.token_to_id(END_OF_TEXT)
    ids: list[int] = []
    for start in range(0, len(documents), 256):
        for encoding in tokenizer.encode_batch(
            [document.text for document in documents[start : start + 256]]
        ):
            ids.extend(encoding.ids)
            ids.append(end)
        if len(ids) >= limit * length:
            break
    count = min(limit, len(ids) // length)
    if count == 0:
        raise CorpusError(f"{len(ids)} tokens do not fill one sequence of {length}")
    return torch.tensor(ids[: count * length]).view(count, length)


def evaluation_sequences(
    splits: dict[str, list[Document]],
    tokenizer: Tokenizer,
    *,
    length: int,
    seen: int,
    held_out: int,
    test: int,
) -> tuple[Tensor, Tensor, Tensor]:
    """Sequences for the statistics, for the thresholds, and for the test.

    The first two come from disjoint documents of the validation split, in proportion to the
    numbers asked for; the last from the test split.

    Returns:
        Three tensors of at most `seen`, `held_out` and `test` rows of `length` token ids.
    """
    validation = splits["validation"]
    cut = round(len(validation) * seen / (seen + held_out))
    return (
        pack(validation[:cut], tokenizer, length, seen),
        pack(validation[cut:], tokenizer, length, held_out),
        pack(splits["test"], tokenizer, length, test),
    )


def _digest(*parts: str) -> bytes:
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).digest()
