"""A random Mixtral of a few thousand weights, and token ids that repeat themselves."""

import hashlib

import torch
from transformers import MixtralConfig, MixtralForCausalLM

from var_moe.routing.config import VARConfig
from var_moe.routing.statistics import collect_statistics
from var_moe.routing.table import build_table

VOCAB, LAYERS, EXPERTS, LENGTH = 40, 3, 4, 12


def tiny_model(seed: int = 0) -> MixtralForCausalLM:
    torch.manual_seed(seed)
    config = MixtralConfig(
        vocab_size=VOCAB,
        hidden_size=16,
        intermediate_size=24,
        num_hidden_layers=LAYERS,
        num_attention_heads=2,
        num_key_value_heads=2,
        head_dim=8,
        num_local_experts=EXPERTS,
        num_experts_per_tok=2,
        max_position_embeddings=64,
        sliding_window=None,
        bos_token_id=0,
        eos_token_id=None,
        pad_token_id=0,
        initializer_range=0.3,
    )
    return MixtralForCausalLM(config).eval()


def token_ids(count: int, seed: int = 0) -> torch.Tensor:
    """(count, LENGTH) ids from a skewed distribution, so that pairs recur."""
    generator = torch.Generator().manual_seed(seed)
    share = 1 / torch.arange(1.0, VOCAB + 1)
    return torch.multinomial(share.expand(count, VOCAB), LENGTH, replacement=True, generator=generator)


def tiny_table(model: MixtralForCausalLM, **settings):
    config = VARConfig(**{"learned_share": 0.3, "single_share": 0.6} | settings)
    statistics = collect_statistics(model, token_ids(40, seed=1), batch_size=16)
    return build_table(statistics, config, token_ids(10, seed=2))


def chained(lines):
    """Lines whose bodies are as they are, chained anew: what a forger of the whole file would do."""
    head, written = "", []
    for line in lines:
        head = hashlib.sha256(head.encode() + line[65:-1]).hexdigest()
        written.append(head.encode() + line[64:])
    return written
