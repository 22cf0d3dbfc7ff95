"""Which text serves which purpose: statistics, thresholds, search and the one report on test.

Statistics come from text that the thresholds are not set on, thresholds from text that the
search does not judge by, and test text is read by reports alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from tokenizers import Tokenizer
from torch import Tensor

from var_moe.corpus import OWN_SPLITS, Document, Stream, pack, read_documents, split_documents, stream


class TrainSettings(Protocol):
    validation_fraction: float
    test_fraction: float
    sequence_length: int


class EvalSettings(Protocol):
    statistics_sequences: int
    threshold_sequences: int
    test_tokens: int


class SearchSettings(Protocol):
    tokens: int


class VarSettings(Protocol):
    corpus: str
    train: TrainSettings
    eval: EvalSettings
    search: SearchSettings


@dataclass(frozen=True)
class EvaluationText:
    """Token ids by purpose."""

    statistics: Tensor  # (N, S)
    thresholds: Tensor  # (M, S)
    search: Stream  # of validation, judged by the threshold search
    test: Stream


def evaluation_text(settings: VarSettings, raw: Path, tokenizer: Tokenizer) -> EvaluationText:
    """Read a corpus and share it out.

    A corpus published in splits gives statistics from its training split, as a user of the
    model would have them; of the docstrings, statistics come from validation modules. In both,
    the documents of the validation split are divided in proportion to the tokens asked for.

    Raises:
        CorpusError: the corpus cannot be read, or a part of it is too small.
    """
    train, wanted = settings.train, settings.eval
    documents = read_documents(settings.corpus, raw)
    splits = split_documents(documents, train.validation_fraction, train.test_fraction)
    length = train.sequence_length
    needs = [
        wanted.statistics_sequences * length,
        wanted.threshold_sequences * length,
        settings.search.tokens,
    ]
    if settings.corpus in OWN_SPLITS:
        seen, (held_out, judged) = splits["train"], divide(splits["validation"], needs[1:])
    else:
        seen, held_out, judged = divide(splits["validation"], needs)
    return EvaluationText(
        pack(seen, tokenizer, length, wanted.statistics_sequences),
        pack(held_out, tokenizer, length, wanted.threshold_sequences),
        stream(judged, tokenizer, settings.search.tokens),
        stream(splits["test"], tokenizer, wanted.test_tokens),
    )


def divide(documents: list[Document], needs: list[int]) -> list[list[Document]]:
    """Consecutive parts of the documents, in proportion to `needs`."""
    parts, start, asked = [], 0, 0
    for need in needs:
        asked += need
        end = round(len(documents) * asked / sum(needs))
        parts.append(documents[start:end])
        start = end
    return parts
