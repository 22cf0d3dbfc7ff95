"""The deep branch: transformer layers whose feed-forward block is a mixture of experts.

Departure from the textbook: the gate chooses experts for a whole text, not for each token.
A single text then reads 2 of 8 experts' weights, which on a CPU is what inference costs.
"""

import torch
from torch import nn

from tinyguardrail.model.configuration import GuardConfig
from tinyguardrail.model.layers import Classifier, FeedForward, SelfAttention, masked_mean


class MixtureOfExperts(nn.Module):
    """Top-k of `num_experts` feed-forward blocks, chosen per text from its mean state."""

    def __init__(self, config: GuardConfig):
        super().__init__()
        self.num_experts_per_text = config.num_experts_per_text
        self.gate = nn.Linear(config.hidden_size, config.num_experts, bias=False)
        self.experts = nn.ModuleList(FeedForward(config) for _ in range(config.num_experts))

    def forward(
        self, hidden: torch.Tensor, attention_mask: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Mix the chosen experts' outputs by their renormalised gate probabilities.

        Args:
            hidden: (B, T, D)
            attention_mask: (B, T)

        Returns:
            mixed: (B, T, D)
            probabilities: (B, experts), the gate's softmax in fp32
            chosen: (B, num_experts_per_text) expert indices
        """
        probabilities = self.gate(masked_mean(hidden, attention_mask)).float().softmax(-1)
        weights, chosen = probabilities.topk(self.num_experts_per_text, dim=-1)
        weights = (weights / weights.sum(-1, keepdim=True)).to(hidden.dtype)
        mixed = torch.zeros_like(hidden)
        for index, expert in enumerate(self.experts):
            rows, slot = torch.where(chosen == index)
            if torch.compiler.is_exporting() or rows.numel():
                output = expert(hidden[rows]) * weights[rows, slot][:, None, None]
                mixed = mixed.index_add(0, rows, output.to(mixed.dtype))
        return mixed, probabilities, chosen


class DeepLayer(nn.Module):
    def __init__(self, config: GuardConfig):
        super().__init__()
        self.attention = SelfAttention(config)
        self.mixture = MixtureOfExperts(config)
        self.norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)

    def forward(
        self, hidden: torch.Tensor, attention_mask: torch.Tensor, bias: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        hidden = self.attention(hidden, bias)
        mixed, probabilities, chosen = self.mixture(hidden, attention_mask)
        return self.norm(hidden + mixed), probabilities, chosen


class DeepBranch(nn.Module):
    def __init__(self, config: GuardConfig):
        super().__init__()
        self.layers = nn.ModuleList(DeepLayer(config) for _ in range(config.deep_layers))
        self.classifier = Classifier(config)

    def forward(
        self, hidden: torch.Tensor, attention_mask: torch.Tensor, bias: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Classify with the expert layers.

        Args:
            hidden: (B, T, D), the fast branch's
            attention_mask: (B, T)
            bias: (B, 1, 1, T)

        Returns:
            logits: (B, intents)
            gate_probabilities: (layers, B, experts)
            chosen_experts: (layers, B, num_experts_per_text)
        """
        gates, choices = [], []
        for layer in self.layers:
            hidden, probabilities, chosen = layer(hidden, attention_mask, bias)
            gates.append(probabilities)
            choices.append(chosen)
        return self.classifier(hidden, attention_mask), torch.stack(gates), torch.stack(choices)
