"""Building a guard to train, and reading a trained one back."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError
from tokenizers import Tokenizer

from tinyguardrail.errors import UserError
from tinyguardrail.model.configuration import GuardConfig
from tinyguardrail.model.features import FeatureExtractor
from tinyguardrail.model.modeling import GuardForSequenceClassification
from tinyguardrail.model.pretrained import load_minilm, pretrained_folder, start_from_minilm
from tinyguardrail.model.vocabulary import choose_pieces, prune_tokenizer
from tinyguardrail.params import Model

TOKENIZER_FILE = "tokenizer.json"


class ModelError(UserError):
    """A saved guard that cannot be read."""


def build_guard(
    settings: Model, texts: Sequence[str], seed: int
) -> tuple[GuardForSequenceClassification, Tokenizer]:
    """A guard started from MiniLM's weights, with the vocabulary pruned by the use in `texts`."""
    weights, full = load_minilm(pretrained_folder())
    kept = choose_pieces(full, texts, settings.vocab_size)
    fields = settings.model_dump(exclude={"expert_noise"})
    torch.manual_seed(seed)
    guard = GuardForSequenceClassification(GuardConfig(**fields))
    start_from_minilm(guard, weights, kept, settings.expert_noise)
    longest = settings.chars_per_token - 1  # one place is for the space before the word
    return guard, prune_tokenizer(full, kept, longest)


def feature_extractor(tokenizer: Tokenizer, config: GuardConfig) -> FeatureExtractor:
    return FeatureExtractor(
        tokenizer, config.max_position_embeddings, config.chars_per_token, config.char_table_size
    )


def save_guard(folder: Path, guard: GuardForSequenceClassification, tokenizer: Tokenizer) -> None:
    guard.save_pretrained(folder)
    tokenizer.save(str(folder / TOKENIZER_FILE))


def load_guard(folder: Path) -> tuple[GuardForSequenceClassification, Tokenizer]:
    """A trained guard in evaluation mode, and its tokenizer.

    Raises:
        ModelError: a file is missing or damaged.
    """
    for name in ("config.json", "model.safetensors", TOKENIZER_FILE):
        if not (folder / name).is_file():
            raise ModelError(f"{folder / name}: not found; run dvc repro train")
    try:
        guard = GuardForSequenceClassification.from_pretrained(folder)
    except SafetensorError as error:
        raise ModelError(
            f"{folder / 'model.safetensors'}: damaged ({error}); run dvc repro train -f"
        ) from None
    return guard.eval(), Tokenizer.from_file(str(folder / TOKENIZER_FILE))
