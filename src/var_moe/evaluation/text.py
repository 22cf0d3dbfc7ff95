"""Which text serves which purpose: statistics, thresholds, search and the one report on test.

Statistics come from text that the thresholds are not set on, thresholds from text that the
search does not judge by, and test text is read by reports alone.
"""

from dataclasses import dataclass
from itertools import accumulate, pairwise
from pathlib import Path

from tokenizers import Tokenizer
from torch import Tensor

from var_moe.params import Var
from var_moe.reference.corpus import OWN_SPLITS, Document, Stream, pack, read_splits, stream


@dataclass(frozen=True)
class EvaluationText:
    """Token ids by purpose."""

    statistics: Tensor  # (N, S)
    thresholds: Tensor  # (M, S)
    search: Stream  # of validation, judged by the threshold search
    test: Stream


def evaluation_text(settings: Var, raw: Path, tokenizer: Tokenizer) -> EvaluationText:
    """Read a corpus and share it out.

    A corpus published in splits gives statistics from its training split, as a user of the
    model would have them; of the docstrings, statistics come from validation modules. In both,
    the documents of the validation split are divided in proportion to the tokens asked for.

    Raises:
        CorpusError: the corpus cannot be read, or a part of it is too small.
    """
    train, wanted = settings.train, settings.eval
    splits = read_splits(settings, raw)
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
    ends = [round(len(documents) * asked / sum(needs)) for asked in accumulate(needs)]
    return [documents[start:end] for start, end in pairwise([0, *ends])]
