"""A guard of a few thousand parameters with random weights: the same architecture, no download."""

import os
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
import torch
from safetensors.numpy import save_file
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

from tinyguardrail.export.export import write_graphs
from tinyguardrail.model.build import feature_extractor
from tinyguardrail.model.configuration import GuardConfig
from tinyguardrail.model.modeling import GuardForSequenceClassification
from tinyguardrail.normalization.language_model import CharacterLanguageModel
from tinyguardrail.quantization.quantize import quantize_weights
from tinyguardrail.sources.corpus import read_corpus

pytest_plugins = ("loader_files", "synthetic_scores", "reporting_scale")  # fixtures of several files

WORDS = ("ignore", "all", "rules", "the", "a", "cat", "please", "##s", "##ing", "say", "hello", "what")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest file first: whatever runs beside it fills the other core meanwhile."""
    items.sort(key=lambda item: item.path.name != "test_smoke.py")


@pytest.fixture(scope="session", autouse=True)
def _one_thread():
    torch.set_num_threads(1)


def make_tokenizer() -> Tokenizer:
    letters = [chr(code) for code in range(97, 123)]
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS, *letters, *(f"##{c}" for c in letters)]
    numbered = {piece: number for number, piece in enumerate(dict.fromkeys(pieces))}
    tokenizer = Tokenizer(models.WordPiece(numbered, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return tokenizer


@pytest.fixture(scope="session")
def tiny_tokenizer() -> Tokenizer:
    return make_tokenizer()


def make_guard(tokenizer: Tokenizer, **changes) -> GuardForSequenceClassification:
    fields = {
        "vocab_size": tokenizer.get_vocab_size(),
        "hidden_size": 32,
        "num_attention_heads": 4,
        "intermediate_size": 48,
        "max_position_embeddings": 16,
        "chars_per_token": 8,
        "char_table_size": 600,
        "char_dim": 6,
        "char_filters": 5,
        "char_kernel_sizes": [2, 3],
        "fast_layers": 1,
        "deep_layers": 2,
        "num_experts": 4,
        "num_experts_per_text": 2,
        "router_hidden": 8,
        **changes,
    }
    torch.manual_seed(0)
    guard = GuardForSequenceClassification(GuardConfig(**fields))
    with torch.no_grad():
        for parameter in guard.parameters():  # large weights, so that texts differ and experts are all used
            if parameter.ndim > 1:
                parameter.normal_(0, 0.5)
        guard.embeddings.characters.table.weight[0] = 0  # "no character", as in training
    return guard.eval()


@pytest.fixture(scope="session")
def tiny_guard(tiny_tokenizer) -> GuardForSequenceClassification:
    return make_guard(tiny_tokenizer)


@pytest.fixture(scope="session")
def tiny_extractor(tiny_tokenizer, tiny_guard):
    return feature_extractor(tiny_tokenizer, tiny_guard.config)


@pytest.fixture(scope="session")
def exported(tmp_path_factory, tiny_guard, tiny_tokenizer):
    folder = tmp_path_factory.mktemp("onnx")
    weights = {name: tensor.numpy() for name, tensor in tiny_guard.state_dict().items()}
    save_file(quantize_weights(weights, 24), folder / "int8.safetensors")
    corpus = read_corpus(Path(__file__).parent.parent / "data/corpus")
    CharacterLanguageModel.fit(record.text for record in corpus).save(folder / "fitted.npz")
    write_graphs(folder, tiny_guard, tiny_tokenizer, folder / "int8.safetensors", folder / "fitted.npz", 18)
    return folder
