"""The fast branch: the layers that every text passes, and what they say of it by themselves."""

import torch
from torch import nn

from tinyguardrail.model.configuration import GuardConfig
from tinyguardrail.model.layers import Classifier, TransformerLayer


class FastBranch(nn.Module):
    def __init__(self, config: GuardConfig):
        super().__init__()
        self.layers = nn.ModuleList(TransformerLayer(config) for _ in range(config.fast_layers))
        self.classifier = Classifier(config)

    def forward(
        self, hidden: torch.Tensor, attention_mask: torch.Tensor, bias: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """What every text passes.

        Args:
            hidden: the embeddings, (B, T, D)
            attention_mask: (B, T)
            bias: (B, 1, 1, T)

        Returns:
            state: (B, T, D)
            logits: (B, intents)
        """
        for layer in self.layers:
            hidden = layer(hidden, bias)
        return hidden, self.classifier(hidden, attention_mask)
