"""The whole guard: embeddings, router, fast branch, deep branch."""

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
from tinyguardrail.model.router import Router


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
        embeddings = self.embeddings(input_ids, char_ids)
        router_logits = self.router(embeddings, attention_mask)
        fast_logits = self.fast(embeddings, attention_mask)
        deep_logits, gate_probabilities, chosen_experts = self.deep(embeddings, attention_mask)
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
