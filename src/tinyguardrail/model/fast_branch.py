"""The fast branch: what a text that needs no expert passes after the trunk."""

import torch
from torch import nn

from tinyguardrail.model.configuration import GuardConfig
from tinyguardrail.model.layers import Classifier, TransformerLayer


class FastBranch(nn.Module):
    def __init__(self, config: GuardConfig):
        super().__init__()
        self.layers = nn.ModuleList(TransformerLayer(config) for _ in range(config.fast_layers))
        self.classifier = Classifier(config)

    def forward(self, hidden: torch.Tensor, attention_mask: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
        """hidden (B, T, D), attention_mask (B, T), bias (B, 1, 1, T) -> logits (B, intents)."""
        for layer in self.layers:
            hidden = layer(hidden, bias)
        return self.classifier(hidden, attention_mask)
