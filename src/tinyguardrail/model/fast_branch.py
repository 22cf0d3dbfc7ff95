"""The fast branch: a few transformer layers, started from MiniLM's first ones."""

from __future__ import annotations

import torch
from torch import nn

from tinyguardrail.model.configuration import GuardConfig
from tinyguardrail.model.layers import Classifier, FeedForward, SelfAttention, attention_bias


class TransformerLayer(nn.Module):
    """Attention, then a feed-forward block, each with a residual and a norm after it."""

    def __init__(self, config: GuardConfig):
        super().__init__()
        self.attention = SelfAttention(config)
        self.feed_forward = FeedForward(config)
        self.norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)

    def forward(self, hidden: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
        """hidden (B, T, D), bias (B, 1, 1, T) -> (B, T, D)."""
        hidden = self.attention(hidden, bias)
        return self.norm(hidden + self.feed_forward(hidden))


class FastBranch(nn.Module):
    def __init__(self, config: GuardConfig):
        super().__init__()
        self.layers = nn.ModuleList(TransformerLayer(config) for _ in range(config.fast_layers))
        self.classifier = Classifier(config)

    def forward(self, embeddings: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        """embeddings (B, T, D), attention_mask (B, T) -> logits (B, labels)."""
        bias = attention_bias(attention_mask)
        hidden = embeddings
        for layer in self.layers:
            hidden = layer(hidden, bias)
        return self.classifier(hidden, attention_mask)
