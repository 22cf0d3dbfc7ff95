"""The reference model: a small Mixtral, built, saved and loaded."""

from pathlib import Path

import torch
from tokenizers import Tokenizer
from transformers import MixtralConfig, MixtralForCausalLM

from tinyguardrail_common.errors import UserError
from var_moe.mixture.loading import load_causal_lm
from var_moe.params import VarModel

# Larger than Mixtral's 0.02, and not tied to the output: within a hundred steps the validation
# loss falls to 5.3 nats where tied, small embeddings stay at 5.8.
EMBEDDING_STD = 0.1


def build_model(settings: VarModel, vocab_size: int, end_of_text: int) -> MixtralForCausalLM:
    """A randomly initialized Mixtral with two experts per token."""
    config = MixtralConfig(
        vocab_size=vocab_size,
        hidden_size=settings.hidden_size,
        intermediate_size=settings.intermediate_size,
        num_hidden_layers=settings.layers,
        num_attention_heads=settings.heads,
        num_key_value_heads=settings.heads,
        head_dim=settings.hidden_size // settings.heads,
        num_local_experts=settings.experts,
        num_experts_per_tok=2,
        max_position_embeddings=settings.max_positions,
        sliding_window=None,
        tie_word_embeddings=False,
        bos_token_id=end_of_text,
        eos_token_id=end_of_text,
        pad_token_id=None,
        use_cache=True,
    )
    model = MixtralForCausalLM(config)
    torch.nn.init.normal_(model.model.embed_tokens.weight, std=EMBEDDING_STD)
    return model


def save_model(model: MixtralForCausalLM, tokenizer: Tokenizer, folder: Path) -> None:
    """Weights (bf16, the precision that evaluation runs in), configuration and tokenizer."""
    model.to(torch.bfloat16).save_pretrained(folder)
    tokenizer.save(str(folder / "tokenizer.json"))


def load_model(folder: Path) -> MixtralForCausalLM:
    """A trained reference model, in the bf16 it was saved in, which is also what is fastest here.

    Throughput and perplexity are measured on the same weights, so that neither number is
    bought with the other.

    Raises:
        UserError: the folder holds no model.
    """
    if not (folder / "model.safetensors").exists():
        raise UserError(f"{folder} holds no model: run the var_train stage first")
    return load_causal_lm(folder, dtype=torch.bfloat16)
