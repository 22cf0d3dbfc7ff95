"""Phase 1 of VAR: what the stock router does, counted per layer by token and by context.

A row is a token id, or a context: the pair (previous token, token). Rows 0..V-1 are the
tokens of the vocabulary, seen or not; the rows after them are the contexts seen, in the
order of their keys.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import MixtralForCausalLM

from tinyguardrail.errors import UserError
from tinyguardrail.progress import progress

NO_CONTEXT = -1  # stands where a token has no previous one


@dataclass(frozen=True)
class RoutingStatistics:
    """Sums over the calls of each row; R rows, L layers, E experts."""

    vocab_size: int
    top_k: int
    model_sha256: str
    context_keys: Tensor  # (R - V,) int64, sorted; see `context_key`
    frequency: Tensor  # (R,) int64, calls per layer
    probability_sum: Tensor  # (R, L, E) float64, of the router's softmax
    weight_sum: Tensor  # (R, L, E) float64, of the weights given to the chosen experts
    first_choice: Tensor  # (R, L, E) int64, histogram of the strongest expert

    def entropy(self) -> Tensor:
        """(R, L) entropy of each row's histogram of first choices, in nats; 0 where unseen."""
        share = self.first_choice / self.first_choice.sum(-1, keepdim=True).clamp_min(1)
        return torch.special.entr(share).sum(-1)

    def smoothed(self, smoothing: float) -> tuple[Tensor, Tensor]:
        """(R, L, E) mean probability and mean weight, each drawn towards its back-off.

        A token's mean is drawn towards the layer's, a context's towards its token's, as if
        the back-off had been seen in `smoothing` further calls.
        """
        return self._smooth(self.probability_sum, smoothing), self._smooth(self.weight_sum, smoothing)

    def to_rows(self, smoothing: float) -> list[dict[str, Any]]:
        """One record per seen row and layer, for `routing_stats.parquet`."""
        probability, weight = self.smoothed(smoothing)
        top = weight.topk(self.top_k, dim=-1)
        entropy = self.entropy()
        records = []
        for row in self.frequency.nonzero().flatten().tolist():
            key = int(self.context_keys[row - self.vocab_size]) if row >= self.vocab_size else None
            for layer in range(weight.shape[1]):
                records.append(
                    {
                        "previous": None if key is None else key // self.vocab_size,
                        "token": row if key is None else key % self.vocab_size,
                        "layer": layer,
                        "frequency": int(self.frequency[row]),
                        "entropy": float(entropy[row, layer]),
                        "confidence": float(probability[row, layer].max()),
                        "experts": top.indices[row, layer].tolist(),
                        "weights": top.values[row, layer].tolist(),
                    }
                )
        return records

    def _smooth(self, sums: Tensor, smoothing: float) -> Tensor:
        vocab = self.vocab_size
        count = self.frequency[:, None, None].double()
        layer_mean = sums[:vocab].sum(0) / self.frequency[:vocab].sum()  # (L, E)
        tokens = (sums[:vocab] + smoothing * layer_mean) / (count[:vocab] + smoothing)
        back_off = tokens[self.context_keys % vocab]
        contexts = (sums[vocab:] + smoothing * back_off) / (count[vocab:] + smoothing)
        return torch.cat([tokens, contexts])


def context_key(previous: Tensor, tokens: Tensor, vocab_size: int) -> Tensor:
    """int64 key of (previous token, token); `NO_CONTEXT` where there is no previous token."""
    return torch.where(previous >= 0, previous * vocab_size + tokens, NO_CONTEXT)


def previous_tokens(token_ids: Tensor, mask: Tensor | None = None, before: Tensor | None = None) -> Tensor:
    """The token before each token.

    Args:
        token_ids: (B, S).
        mask: (B, S) bool, False where a token is padding; padding is nobody's context.
        before: (B,) the token before the first column, `NO_CONTEXT` where there is none.

    Returns:
        (B, S) int64.
    """
    if mask is not None:
        token_ids = token_ids.masked_fill(~mask, NO_CONTEXT)
    if before is None:
        before = token_ids.new_full((len(token_ids),), NO_CONTEXT)
    return torch.cat([before[:, None], token_ids[:, :-1]], dim=1)


def model_sha256(model: MixtralForCausalLM) -> str:
    """Hash of a model's parameters: names, types, shapes and bytes."""
    digest = hashlib.sha256()
    for name, tensor in model.named_parameters():
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().view(torch.uint8).numpy())
    return digest.hexdigest()


@torch.inference_mode()
def collect_statistics(model: MixtralForCausalLM, sequences: Tensor, batch_size: int) -> RoutingStatistics:
    """One pass of the stock model over (N, S) token ids.

    Raises:
        UserError: there is no sequence.
    """
    if sequences.numel() == 0:
        raise UserError("no sequences to collect routing statistics from")
    config = model.config
    vocab, layers, experts = config.vocab_size, config.num_hidden_layers, config.num_local_experts
    keys = context_key(previous_tokens(sequences), sequences, vocab)  # (N, S)
    context_keys = keys[keys >= 0].unique()
    rows = vocab + len(context_keys)
    frequency = torch.zeros(rows, dtype=torch.int64)
    probability_sum = torch.zeros(rows, layers, experts, dtype=torch.float64)
    weight_sum = torch.zeros_like(probability_sum)
    first_choice = torch.zeros(rows, layers, experts, dtype=torch.int64)

    starts = range(0, len(sequences), batch_size)
    for start in progress(starts, "routing statistics", total=len(starts)):
        batch = sequences[start : start + batch_size]
        output = model.model(input_ids=batch, use_cache=False, output_router_logits=True)
        probability = torch.stack(output.router_logits, dim=1).float().softmax(-1)  # (T, L, E)
        top = probability.topk(config.num_experts_per_tok, dim=-1)
        normalised = top.values / top.values.sum(-1, keepdim=True)
        weights = torch.zeros_like(probability).scatter_(-1, top.indices, normalised)
        first = torch.nn.functional.one_hot(top.indices[..., 0], experts)
        tokens = batch.flatten()
        key = keys[start : start + batch_size].flatten()
        has_context = key >= 0
        contexts = vocab + torch.searchsorted(context_keys, key[has_context])
        for index, part in ((tokens, slice(None)), (contexts, has_context)):
            frequency.index_add_(0, index, torch.ones_like(index))
            probability_sum.index_add_(0, index, probability[part].double())
            weight_sum.index_add_(0, index, weights[part].double())
            first_choice.index_add_(0, index, first[part])
    return RoutingStatistics(
        vocab,
        config.num_experts_per_tok,
        model_sha256(model),
        context_keys,
        frequency,
        probability_sum,
        weight_sum,
        first_choice,
    )
