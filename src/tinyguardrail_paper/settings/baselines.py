"""Settings of the baselines: plain classifiers trained on the rows that the guard draws."""

from typing import Annotated, Literal, NamedTuple

from pydantic import AfterValidator, Field

from tinyguardrail_common.param_types import Count, Fraction, Positive, Strict


class Baseline(NamedTuple):
    """One baseline.

    Attributes:
        title: what readers see.
        classifier: what is trained; baselines that share it differ in what they read.
        reading: the text as it stands, or put in the clear by our normalizer, as the guard has it.
    """

    title: str
    classifier: Literal["tfidf", "frozen", "fine_tuned"]
    reading: Literal["raw", "normalized"] = "raw"


BASELINES = {
    "tfidf": Baseline("TF-IDF, logistic regression", "tfidf"),
    "minilm_frozen": Baseline("MiniLM-L6 frozen, logistic regression", "frozen"),
    "minilm_frozen_normalized": Baseline("MiniLM-L6 frozen, normalized", "frozen", "normalized"),
    "minilm": Baseline("MiniLM-L6 fine-tuned", "fine_tuned"),
    "minilm_normalized": Baseline("MiniLM-L6 fine-tuned, normalized", "fine_tuned", "normalized"),
}


def _known(names: list[str]) -> list[str]:
    unknown = [name for name in names if name not in BASELINES]
    if unknown or len(set(names)) < len(names):
        raise ValueError(f"must be different ones of {', '.join(BASELINES)}; found {', '.join(names)}")
    return names


class Baselines(Strict):
    """Which baselines are measured, and how they are trained.

    Attributes:
        names: of `BASELINES`.
        rows_per_epoch: drawn for each of `train.epochs` epochs; None draws as many as the guard, and so the
            very same rows.
        frozen_rows: at most, of all rows drawn, that the frozen encoder reads.
        tfidf_words, tfidf_characters: most frequent n-grams that are kept of each kind.
        tfidf_inverse_penalty, frozen_inverse_penalty: inverse strength of a logistic regression's L2 penalty.
        batch_size, learning_rate, weight_decay, warmup_fraction, clip_norm: of fine-tuning.
    """

    names: Annotated[list[str], Field(min_length=1), AfterValidator(_known)]
    rows_per_epoch: Count | None
    frozen_rows: Count
    tfidf_words: Count
    tfidf_characters: Count
    tfidf_inverse_penalty: Positive
    frozen_inverse_penalty: Positive
    batch_size: Count
    learning_rate: Positive
    weight_decay: Annotated[float, Field(ge=0)]
    warmup_fraction: Fraction
    clip_norm: Positive
