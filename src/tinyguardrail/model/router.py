"""The router: how much an input would gain from the deep branch, as a score in [0, 1]."""

import torch
from torch import nn
from torch.nn import functional

from tinyguardrail.model.configuration import GuardConfig
from tinyguardrail.model.layers import masked_mean


class Router(nn.Module):
    """A small network over the fast branch's pooled state and what that branch says of the text.

    Its score starts as the fast branch's doubt, one less its highest probability, which alone would be
    early exit by confidence; the network learns what to add. It reads all this without sending a
    gradient back: it has to judge what the branches will do, not to change it. Which texts gain most
    from the deep branch is hard to foresee, so raw scores differ little; `offset` and `scale` are set
    once, after training, so that 0.5 stands where the wanted share of validation texts lies above and
    one unit of the logit is one standard deviation. The order of texts is the network's own.
    """

    def __init__(self, config: GuardConfig):
        super().__init__()
        self.norm = nn.LayerNorm(2 * config.hidden_size)
        self.hidden = nn.Linear(2 * config.hidden_size + config.num_labels, config.router_hidden)
        self.output = nn.Linear(config.router_hidden, 1)
        self.doubt = nn.Parameter(torch.ones(1))
        self.register_buffer("offset", torch.zeros(1))
        self.register_buffer("scale", torch.ones(1))

    def forward(
        self, hidden: torch.Tensor, attention_mask: torch.Tensor, fast_logits: torch.Tensor
    ) -> torch.Tensor:
        """hidden (B, T, D), attention_mask (B, T), fast_logits (B, intents) -> logits of the score, (B,)."""
        hidden, probabilities = hidden.detach(), fast_logits.detach().float().softmax(-1)
        hole = (1.0 - attention_mask.to(hidden.dtype)).unsqueeze(-1) * -10000.0
        pooled = torch.cat((masked_mean(hidden, attention_mask), (hidden + hole).amax(1)), dim=-1)
        features = torch.cat((self.norm(pooled), probabilities.to(pooled.dtype)), dim=-1)
        added = self.output(functional.gelu(self.hidden(features))).squeeze(-1)
        doubt = 1.0 - probabilities.amax(-1)
        return (added + self.doubt * doubt - self.offset) / self.scale
