"""Text for the reference model: documents, splits, tokenizer, packed sequences and streams.

Two corpora. Docstrings mined from installed packages are split here, by module. WikiText-2
comes with splits of its own, which are kept, so that its numbers can be set beside others'.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from torch import Tensor

from tinyguardrail_common.errors import UserError
from var_moe.params import Var

END_OF_TEXT = "<|endoftext|>"
SPLITS = ("train", "validation", "test")
OWN_SPLITS = ("wikitext_2",)  # corpora that come split
_COLUMNS = {"docstrings": ["package", "module", "name", "text"], "wikitext_2": ["split", "text"]}


class CorpusError(UserError):
    """Text that cannot be used."""


@dataclass(frozen=True)
class Document:
    group: str  # documents of one group always share a split, and are one cluster of the bootstrap
    name: str
    text: str
    split: str | None = None  # where the corpus is published in splits


@dataclass(frozen=True)
class Stream:
    """Documents laid end to end, each followed by the end-of-text token."""

    ids: Tensor  # (T,) int64
    groups: Tensor  # (T,) int64: which group, in order of appearance, a token's document is of


def read_documents(corpus: str, raw: Path) -> list[Document]:
    """The documents of a corpus, in the order of a hash of their names.

    The files are sorted by package or subject; hashing mixes them, so that a prefix is a fair
    sample.

    Raises:
        CorpusError: the corpus is unknown, its file is missing, lacks a column or holds no text.
    """
    if corpus not in _COLUMNS:
        raise CorpusError(f"unknown corpus {corpus!r}; known: {', '.join(_COLUMNS)}")
    path = Path(raw) / f"{corpus}.parquet"
    if not path.exists():
        raise CorpusError(f"{path} is missing: name {corpus} in data.sources and run the fetch stage")
    missing = set(_COLUMNS[corpus]) - set(pq.read_schema(path).names)
    if missing:
        raise CorpusError(f"{path} has no column {min(missing)!r}: run the fetch stage again")
    rows = pq.read_table(path, columns=_COLUMNS[corpus]).to_pylist()
    documents = [_document(row, number) for number, row in enumerate(rows) if row["text"]]
    if not documents:
        raise CorpusError(f"{path} holds no text")
    return sorted(documents, key=lambda document: _digest(document.group, document.name, document.text))


def _document(row: dict[str, str], number: int) -> Document:
    if "module" in row:
        return Document(f"{row['package']}/{row['module']}", row["name"], row["text"])
    if row["split"] not in SPLITS:
        raise CorpusError(f"row {number}: split {row['split']!r} is none of {', '.join(SPLITS)}")
    return Document(f"{row['split']}/{number}", str(number), row["text"], row["split"])


def read_splits(settings: Var, raw: Path) -> dict[str, list[Document]]:
    """The documents of the corpus by split; see `read_documents` and `split_documents`."""
    train = settings.train
    return split_documents(
        read_documents(settings.corpus, raw), train.validation_fraction, train.test_fraction
    )


def split_documents(
    documents: Sequence[Document], validation_fraction: float, test_fraction: float
) -> dict[str, list[Document]]:
    """Assign whole groups to splits by a hash of the group's name, then drop exact duplicates.

    A document that comes with a split keeps it, and the fractions, which are of groups, do not
    matter to it. A text that stands in several splits is kept once, in test before validation
    before train.

    Raises:
        CorpusError: a split is empty.
    """
    splits: dict[str, list[Document]] = {name: [] for name in SPLITS}
    for document in documents:
        position = int.from_bytes(_digest("split", document.group)[:8], "big") / 2**64
        if document.split is not None:
            splits[document.split].append(document)
        elif position < test_fraction:
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


def stream(documents: Sequence[Document], tokenizer: Tokenizer, limit: int) -> Stream:
    """The first `limit` tokens of documents laid end to end; no more documents are encoded than that needs.

    Raises:
        CorpusError: there is no document.
    """
    end = tokenizer.token_to_id(END_OF_TEXT)
    ids: list[int] = []
    groups: list[int] = []
    numbers: dict[str, int] = {}
    for start in range(0, len(documents), 256):
        part = documents[start : start + 256]
        encodings = tokenizer.encode_batch([document.text for document in part])
        for document, encoding in zip(part, encodings, strict=True):
            ids += [*encoding.ids, end]
            groups += [numbers.setdefault(document.group, len(numbers))] * (len(encoding.ids) + 1)
        if len(ids) >= limit:
            break
    if not ids:
        raise CorpusError("no documents to read tokens from")
    return Stream(torch.tensor(ids[:limit]), torch.tensor(groups[:limit]))


def pack(documents: Sequence[Document], tokenizer: Tokenizer, length: int, limit: int) -> Tensor:
    """Token ids of documents laid end to end, cut into sequences; the incomplete last one is left out.

    Returns:
        (N, length) int64 with N <= limit.

    Raises:
        CorpusError: the documents do not fill one sequence.
    """
    ids = stream(documents, tokenizer, limit * length).ids
    count = len(ids) // length
    if count == 0:
        raise CorpusError(f"{len(ids)} tokens do not fill one sequence of {length}")
    return ids[: count * length].view(count, length)


def _digest(*parts: str) -> bytes:
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).digest()
