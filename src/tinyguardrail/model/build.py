"""Building a guard to train, and reading a trained one back."""

from collections.abc import Collection, Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from tokenizers import Tokenizer

from tinyguardrail.model.configuration import GuardConfig
from tinyguardrail.model.features import FeatureExtractor
from tinyguardrail.model.model_files import CONFIG_FILE, TOKENIZER_FILE, ModelError, read_model_files
from tinyguardrail.model.modeling import GuardForSequenceClassification
from tinyguardrail.model.params import Model
from tinyguardrail.model.pretrained import load_minilm, pretrained_folder, start_from_minilm
from tinyguardrail.model.tokenization import GuardTokenizer
from tinyguardrail.model.vocabulary import choose_pieces, prune_tokenizer

WEIGHTS_FILE = "model.safetensors"
RETRAIN = "run dvc repro train -f"
SHOWN = 3  # names in a message, of what may be hundreds


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


def feature_extractor(
    tokenizer: Tokenizer, config: GuardConfig, window_tokens: int | None = None
) -> FeatureExtractor:
    """Features for a guard, in windows of `window_tokens`, or as long as it can read."""
    longest = config.max_position_embeddings
    tokens = min(window_tokens or longest, longest)
    return FeatureExtractor(tokenizer, tokens, config.chars_per_token, config.char_table_size)


def save_guard(folder: Path, guard: GuardForSequenceClassification, tokenizer: Tokenizer) -> None:
    """Write what `load_guard` and `from_pretrained` of transformers read."""
    guard.save_pretrained(folder)
    GuardTokenizer.of(tokenizer, guard.config).save_pretrained(folder)
    tokenizer.save(str(folder / TOKENIZER_FILE))  # as it is, whatever transformers adds on the way


def load_guard(folder: Path) -> tuple[GuardForSequenceClassification, Tokenizer]:
    """A trained guard in evaluation mode, and its tokenizer.

    Raises:
        ModelError: a file is missing, damaged or not of this architecture.
    """
    for name in (CONFIG_FILE, WEIGHTS_FILE, TOKENIZER_FILE):
        if not (folder / name).is_file():
            raise ModelError(f"{folder / name}: not found; run dvc repro train")
    _, tokenizer = read_model_files(folder)
    return _load_weights(folder).eval(), tokenizer


def _load_weights(folder: Path) -> GuardForSequenceClassification:
    path = folder / WEIGHTS_FILE
    try:
        _check_shapes(path, GuardConfig.from_pretrained(folder))
        guard = GuardForSequenceClassification.from_pretrained(folder)
    except SafetensorError as error:
        raise ModelError(f"{path}: damaged ({error}); {RETRAIN}") from None
    if wrong := [name for name, tensor in guard.state_dict().items() if not tensor.isfinite().all()]:
        raise ModelError(f"{path}: {_some(wrong)} not finite; {RETRAIN}")
    return guard


def _check_shapes(path: Path, config: GuardConfig) -> None:
    """Refuse what `from_pretrained` would fill with random numbers, or leave aside, and only warn of."""
    with torch.device("meta"):
        guard = GuardForSequenceClassification(config)
    expected = {name: list(tensor.shape) for name, tensor in guard.state_dict().items()}
    with safe_open(path, framework="pt") as file:
        found = {name: file.get_slice(name).get_shape() for name in file.keys()}  # noqa: SIM118, no mapping
    shared = expected.keys() & found.keys()
    differ = [f"{name} {found[name]} != {expected[name]}" for name in shared if found[name] != expected[name]]
    missing, unknown = expected.keys() - found.keys(), found.keys() - expected.keys()
    for what, names in (("missing", missing), ("unknown", unknown), ("shaped otherwise", differ)):
        if names:
            raise ModelError(f"{path}: {what}: {_some(names)}; the weights are of another version; {RETRAIN}")


def _some(names: Collection[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return f"{', '.join(sorted(names)[:SHOWN])}{more}"
