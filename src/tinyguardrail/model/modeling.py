"""The whole guard: embeddings, trunk, router, fast branch, deep branch.

Departure from a pair of separate models: both branches start from the same trunk, MiniLM's
first layers. A text's cheap part is computed once, whichever way it goes, the router decides on
a contextual state, and training spends a third less on the same number of parameters.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn
from transformers import AutoConfig, AutoModelForSequenceClassification, PreTrainedModel
from transformers.utils import ModelOutput

from tinyguardrail.model.configuration import GuardConfig
from tinyguardrail.model.deep_branch import DeepBranch
from tinyguardrail.model.embeddings import CharacterAwareEmbeddings
from tinyguardrail.model.fast_branch import FastBranch
from tinyguardrail.model.layers import attention_bias
from tinyguardrail.model.router import Router
from tinyguardrail.model.trunk import Trunk


@dataclass
class GuardOutput(ModelOutput):
    """B = texts, L = labels, E = experts.

    Attributes:
        logits: (B, L) of the branch that the router chose for each text.
        fast_logits, deep_logits: (B, L) of each branch.
        router_logits: (B,); their sigmoid is the router's score.
        gate_probabilities: (deep layers, B, E).
        chosen_experts: (deep layers, B, num_experts_per_text).
    """

    logits: torch.Tensor | None = None
    fast_logits: torch.Tensor | None = None
    deep_logits: torch.Tensor | None = None
    router_logits: torch.Tensor | None = None
    gate_probabilities: torch.Tensor | None = None
    chosen_experts: torch.Tensor | None = None


class GuardForSequenceClassification(PreTrainedModel):
    """Scores texts as benign, direct_injection, jailbreak or obfuscation.

    `forward` computes both branches, as training and analysis need; the exported graph
    computes the deep branch only for the texts routed to it.
    """

    config_class = GuardConfig
    base_model_prefix = "guard"

    def __init__(self, config: GuardConfig):
        super().__init__(config)
        self.embeddings = CharacterAwareEmbeddings(config)
        self.trunk = Trunk(config)
        self.router = Router(config)
        self.fast = FastBranch(config)
        self.deep = DeepBranch(config)
        self.post_init()

    def _init_weights(self, module: nn.Module) -> None:
        if isinstance(module, nn.Linear | nn.Embedding | nn.Conv1d):
            module.weight.data.normal_(0.0, 0.02)
            if getattr(module, "bias", None) is not None:
                module.bias.data.zero_()
            if getattr(module, "padding_idx", None) is not None:
                module.weight.data[module.padding_idx].zero_()
        elif isinstance(module, nn.LayerNorm):
            module.weight.data.fill_(1.0)
            module.bias.data.zero_()
        elif isinstance(module, Router):
            module.offset.data.zero_()
            module.scale.data.fill_(1.0)

    def forward(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor, char_ids: torch.Tensor
    ) -> GuardOutput:
        """input_ids (B, T), attention_mask (B, T), char_ids (B, T, C) -> `GuardOutput`."""
        bias = attention_bias(attention_mask)
        hidden = self.trunk(self.embeddings(input_ids, char_ids), bias)
        router_logits = self.router(hidden, attention_mask)
        fast_logits = self.fast(hidden, attention_mask, bias)
        deep_logits, gate_probabilities, chosen_experts = self.deep(hidden, attention_mask, bias)
        deep = torch.sigmoid(router_logits) >= self.config.router_threshold
        return GuardOutput(
            logits=torch.where(deep[:, None], deep_logits, fast_logits),
            fast_logits=fast_logits,
            deep_logits=deep_logits,
            router_logits=router_logits,
            gate_probabilities=gate_probabilities,
            chosen_experts=chosen_experts,
        )


AutoConfig.register(GuardConfig.model_type, GuardConfig, exist_ok=True)
AutoModelForSequenceClassification.register(GuardConfig, GuardForSequenceClassification, exist_ok=True)
