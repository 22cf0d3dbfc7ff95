"""The whole guard: embeddings, fast branch, router, deep branch.

Departure from a pair of separate models: a cascade. Every text passes the fast branch, the deep one goes
on from its state, and the router between them has seen what the fast branch says. What was computed for
a text is never computed again, and a router that learned nothing would still be early exit.
"""

from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import nn
from torch.nn import functional
from transformers import PreTrainedModel
from transformers.utils import ModelOutput
from transformers.utils.generic import can_return_tuple

from tinyguardrail.model.configuration import GuardConfig
from tinyguardrail.model.deep_branch import DeepBranch
from tinyguardrail.model.embeddings import CharacterAwareEmbeddings
from tinyguardrail.model.fast_branch import FastBranch
from tinyguardrail.model.layers import attention_bias
from tinyguardrail.model.router import Router


@dataclass
class GuardOutput(ModelOutput):
    """B = texts, L = intents, E = experts.

    Attributes:
        loss: scalar, when labels were given.
        logits: (B, L) of the branch that the router chose for each text.
        fast_logits, deep_logits: (B, L) of each branch.
        router_logits: (B,); their sigmoid is the router's score.
        gate_probabilities: (deep layers, B, E); in training, or when asked for.
        chosen_experts: (deep layers, B, num_experts_per_text); likewise.
    """

    loss: torch.Tensor | None = None
    logits: torch.Tensor | None = None
    fast_logits: torch.Tensor | None = None
    deep_logits: torch.Tensor | None = None
    router_logits: torch.Tensor | None = None
    gate_probabilities: torch.Tensor | None = None
    chosen_experts: torch.Tensor | None = None


class GuardForSequenceClassification(PreTrainedModel):
    """Tells what a text is after: nothing bad, injection, jailbreak or harm.

    `forward` computes both branches, as training and analysis need; the exported graph
    computes the deep branch only for the texts routed to it.
    """

    config_class = GuardConfig
    base_model_prefix = "guard"

    def __init__(self, config: GuardConfig):
        super().__init__(config)
        self.embeddings = CharacterAwareEmbeddings(config)
        self.fast = FastBranch(config)
        self.router = Router(config)
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

    @classmethod
    def from_pretrained(cls, *args: Any, **kwargs: Any) -> Self:
        """As in transformers, but weights are read from safetensors alone: a pickle can run code."""
        return super().from_pretrained(*args, **{**kwargs, "use_safetensors": True})

    @can_return_tuple
    def forward(
        self,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor,
        char_ids: torch.Tensor,
        labels: torch.Tensor | None = None,
        output_gates: bool | None = None,
    ) -> GuardOutput:
        """Score a batch with both branches.

        Args:
            input_ids, attention_mask: (B, T)
            char_ids: (B, T, C)
            labels: (B,) indices of intents, for a `loss`: the cross-entropy of the routed logits.
                It trains the branch that each text took; the router, which only chooses, gets no
                gradient. The pipeline trains all three, with the losses of `training/losses.py`.
            output_gates: return what the experts' gates did; by default in training alone, because a
                pipeline of transformers takes the first axis of every output for the batch.
            return_dict: a `GuardOutput`, or its values as a tuple when False.
        """
        bias = attention_bias(attention_mask)
        hidden, fast_logits = self.fast(self.embeddings(input_ids, char_ids), attention_mask, bias)
        router_logits = self.router(hidden, attention_mask, fast_logits)
        deep_logits, gate_probabilities, chosen_experts = self.deep(hidden, attention_mask, bias)
        deep = torch.sigmoid(router_logits) >= self.config.router_threshold
        logits = torch.where(deep[:, None], deep_logits, fast_logits)
        show_gates = self.training if output_gates is None else output_gates
        return GuardOutput(
            loss=None if labels is None else functional.cross_entropy(logits, labels),
            logits=logits,
            fast_logits=fast_logits,
            deep_logits=deep_logits,
            router_logits=router_logits,
            gate_probabilities=gate_probabilities if show_gates else None,
            chosen_experts=chosen_experts if show_gates else None,
        )
