"""Loading any supported mixture of experts, from disk or the hub, onto whatever there is."""

import hashlib
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer
from torch import Tensor
from transformers import AutoModelForCausalLM, PreTrainedModel

from tinyguardrail_common.compute import quiet_transformers
from tinyguardrail_common.errors import UserError
from var_moe.mixture.blocks import moe_blocks


def load_causal_lm(
    name: Path | str,
    *,
    device_map: str | dict[str, Any] | None = None,
    dtype: torch.dtype | str = "auto",
    quantization_config: Any = None,
) -> PreTrainedModel:
    """A causal language model that VAR can wrap, ready for inference.

    Args:
        name: folder of a saved model, or its name on the hub.
        device_map: spreads the layers over devices ("auto", or module to device); needs the
            accelerate package. None loads onto the CPU.
        dtype: of the weights; "auto" is the one they were saved in.
        quantization_config: as `from_pretrained` takes it. The experts are a stacked tensor in
            transformers 5, which 4- and 8-bit linear layers do not cover.

    Raises:
        UserError: nothing can be loaded from there, a package is missing, or the model's
            routers follow a rule that VAR does not know.
    """
    quiet_transformers()
    options = {"dtype": dtype, "device_map": device_map, "quantization_config": quantization_config}
    given = {key: value for key, value in options.items() if value is not None}
    try:
        model = AutoModelForCausalLM.from_pretrained(name, **given).eval()
    except ImportError as error:
        line = str(error).strip().splitlines()[0]
        raise UserError(f"{line} A device map needs: pip install accelerate") from None
    except (OSError, ValueError) as error:
        line = str(error).strip().splitlines()[0]
        raise UserError(f"{name}: cannot load a causal language model: {line}") from None
    moe_blocks(model)
    return model


def load_tokenizer(name: Path | str) -> Tokenizer:
    """The tokenizer beside a saved model, or that of a hub name.

    Raises:
        UserError: there is none.
    """
    file = Path(name) / "tokenizer.json"
    try:
        return Tokenizer.from_file(str(file)) if Path(name).is_dir() else Tokenizer.from_pretrained(name)
    except Exception as error:  # tokenizers raises bare exceptions
        raise UserError(f"{name}: no tokenizer can be loaded: {str(error).splitlines()[0]}") from None


def tokenizer_sha256(tokenizer: Tokenizer) -> str:
    """Hash of everything a tokenizer is made of; goes into the statistics' file."""
    return hashlib.sha256(tokenizer.to_str().encode()).hexdigest()


def text_sequences(path: Path | str, tokenizer: Tokenizer, length: int) -> Tensor:
    """(N, length) token ids of a text file, end to end; what does not fill a sequence is left out.

    Raises:
        UserError: the file is missing, no UTF-8, or does not fill one sequence.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read: {error}") from None
    ids = tokenizer.encode(text, add_special_tokens=False).ids
    count = len(ids) // length
    if not count:
        raise UserError(f"{path}: {len(ids)} tokens do not fill one sequence of {length}")
    return torch.tensor(ids[: count * length]).view(count, length)
