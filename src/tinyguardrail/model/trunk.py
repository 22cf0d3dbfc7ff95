"""The trunk: MiniLM's first layers, computed once for the router and both branches."""

import torch
from torch import nn

from tinyguardrail.model.configuration import GuardConfig
from tinyguardrail.model.layers import TransformerLayer


class Trunk(nn.Module):
    def __init__(self, config: GuardConfig):
        super().__init__()
        self.layers = nn.ModuleList(TransformerLayer(config) for _ in range(config.shared_layers))

    def forward(self, embeddings: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
        """embeddings (B, T, D), bias (B, 1, 1, T) -> hidden (B, T, D)."""
        hidden = embeddings
        for layer in self.layers:
            hidden = layer(hidden, bias)
        return hidden
