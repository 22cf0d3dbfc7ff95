"""The transformer parts that both branches are built from."""

import torch
from torch import nn
from torch.nn import functional

from tinyguardrail.model.configuration import GuardConfig


class SelfAttention(nn.Module):
    """Multi-head self-attention with one fused projection, post-norm as in BERT."""

    def __init__(self, config: GuardConfig):
        super().__init__()
        self.heads = config.num_attention_heads
        self.qkv = nn.Linear(config.hidden_size, 3 * config.hidden_size)
        self.output = nn.Linear(config.hidden_size, config.hidden_size)
        self.norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)

    def forward(self, hidden: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
        """hidden (B, T, D), bias (B, 1, 1, T) added to the attention scores -> (B, T, D)."""
        batch, length, width = hidden.shape
        query, key, value = (
            self.qkv(hidden)
            .view(batch, length, 3, self.heads, width // self.heads)  # (B, T, 3, H, D/H)
            .permute(2, 0, 3, 1, 4)  # (3, B, H, T, D/H)
            .unbind(0)
        )
        query = query * (width // self.heads) ** -0.5
        scores = query @ key.transpose(-1, -2) + bias.to(query.dtype)  # (B, H, T, T)
        with torch.autocast(scores.device.type, enabled=False):  # no fp32 copy of the largest tensor
            mixed = scores.softmax(-1) @ value
        mixed = mixed.transpose(1, 2).reshape(batch, length, width)
        return self.norm(hidden + self.output(mixed))


class FeedForward(nn.Module):
    """Two linear maps with a GELU between; also the shape of one expert."""

    def __init__(self, config: GuardConfig):
        super().__init__()
        self.up = nn.Linear(config.hidden_size, config.intermediate_size)
        self.down = nn.Linear(config.intermediate_size, config.hidden_size)

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        """(..., D) -> (..., D)."""
        return self.down(functional.gelu(self.up(hidden)))


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


class Classifier(nn.Module):
    """Masked mean, one hidden layer, one score per intent."""

    def __init__(self, config: GuardConfig):
        super().__init__()
        self.dense = nn.Linear(config.hidden_size, config.hidden_size)
        self.output = nn.Linear(config.hidden_size, config.num_labels)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, hidden: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        """hidden (B, T, D), attention_mask (B, T) -> logits (B, intents)."""
        pooled = torch.tanh(self.dense(masked_mean(hidden, attention_mask)))
        return self.output(self.dropout(pooled))


def masked_mean(hidden: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
    """Mean over real tokens: (B, T, D), (B, T) -> (B, D)."""
    weights = attention_mask.to(hidden.dtype).unsqueeze(-1)
    return (hidden * weights).sum(1) / weights.sum(1)


def attention_bias(attention_mask: torch.Tensor) -> torch.Tensor:
    """Additive mask: (B, T) -> (B, 1, 1, T), 0 on tokens and a large negative on padding."""
    return (1.0 - attention_mask[:, None, None, :].to(torch.float32)) * -10000.0
