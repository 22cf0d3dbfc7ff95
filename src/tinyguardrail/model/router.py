"""The router: how much an input would gain from the deep branch, as a score in [0, 1]."""

import torch
from torch import nn
from torch.nn import functional

from tinyguardrail.model.configuration import GuardConfig
from tinyguardrail.model.layers import masked_mean


class Router(nn.Module):
    """A small network over the trunk's pooled state.

    It reads that state without sending a gradient back: it has to judge what the
    branches will do, not to change it. Which texts gain most from the deep branch is hard to
    foresee, so raw scores differ little; `offset` and `scale` are set once, after training, so
    that 0.5 stands where the wanted share of validation texts lies above and one unit of the
    logit is one standard deviation. The order of texts is the network's own.
    """

    def __init__(self, config: GuardConfig):
        super().__init__()
        self.norm = nn.LayerNorm(2 * config.hidden_size)
        self.hidden = nn.Linear(2 * config.hidden_size, config.router_hidden)
        self.output = nn.Linear(config.router_hidden, 1)
        self.register_buffer("offset", torch.zeros(1))
        self.register_buffer("scale", torch.ones(1))

    def forward(self, hidden: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        """hidden (B, T, D), attention_mask (B, T) -> logits of the score, (B,)."""
        hidden = hidden.detach()
        hole = (1.0 - attention_mask.to(hidden.dtype)).unsqueeze(-1) * -10000.0
        pooled = torch.cat((masked_mean(hidden, attention_mask), (hidden + hole).amax(1)), dim=-1)
        features = functional.gelu(self.hidden(self.norm(pooled)))
        return (self.output(features).squeeze(-1) - self.offset) / self.scale
