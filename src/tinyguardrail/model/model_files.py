"""What a folder with a guard says of itself, read and checked without torch.

The trained guard and the exported one are described by the same two files, so both loaders
refuse the same folders: of another model, with other intents, or with another tokenizer.
"""

import json
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from tinyguardrail.data.labels import INTENTS
from tinyguardrail_common.errors import UserError
from tinyguardrail_common.files import read_json

MODEL_TYPE = "tinyguardrail"
CONFIG_FILE = "config.json"
TOKENIZER_FILE = "tokenizer.json"
COUNTS = ("vocab_size", "max_position_embeddings", "chars_per_token", "char_table_size")
REMEDY = "name a folder that the train or the export stage wrote"


class ModelError(UserError):
    """A saved guard that cannot be read."""


def read_model_files(folder: Path) -> tuple[dict[str, Any], Tokenizer]:
    """The configuration and the tokenizer of a trained or an exported guard.

    Raises:
        ModelError: `config.json` is not JSON, is of another model, has other intents or lacks a
            number that the features need; `tokenizer.json` is damaged or of another size.
    """
    config = _read_config(folder / CONFIG_FILE)
    return config, _read_tokenizer(folder / TOKENIZER_FILE, config["vocab_size"])


def _read_config(path: Path) -> dict[str, Any]:
    try:
        config = read_json(path)
    except ValueError as error:  # of JSON and of UTF-8
        raise ModelError(f"{path}: not JSON ({error}); {REMEDY}") from None
    found = config.get("model_type") if isinstance(config, dict) else None
    if found != MODEL_TYPE:
        raise ModelError(f"{path}: model_type is {found!r}, expected {MODEL_TYPE!r}; {REMEDY}")
    _check_intents(path, config.get("id2label"))
    _check_numbers(path, config)
    return config


def _check_intents(path: Path, found: Any) -> None:
    expected = {str(index): intent for index, intent in enumerate(INTENTS)}
    if found != expected:
        raise ModelError(
            f"{path}: id2label is {json.dumps(found)}, expected {json.dumps(expected)}; {REMEDY}"
        )


def _check_numbers(path: Path, config: dict[str, Any]) -> None:
    for key in COUNTS:
        value = config.get(key)
        if type(value) is not int or value < 1:
            raise ModelError(f"{path}: {key} is {value!r}, expected a whole number above 0; {REMEDY}")
    threshold = config.get("router_threshold")
    if type(threshold) not in (int, float):
        raise ModelError(f"{path}: router_threshold is {threshold!r}, expected a number; {REMEDY}")


def _read_tokenizer(path: Path, vocab_size: int) -> Tokenizer:
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # tokenizers has no class of its own for it
        raise ModelError(f"{path}: damaged ({error}); {REMEDY}") from None
    found = tokenizer.get_vocab_size()
    if found != vocab_size:
        raise ModelError(
            f"{path}: {found} word pieces, but {CONFIG_FILE} has vocab_size = {vocab_size}; "
            "both files must come from the same training"
        )
    return tokenizer
