"""Phase 1 of VAR: what the stock router does, counted per layer by token and by context.

A row is a token id, or a context: the pair (previous token, token). Rows 0..V-1 are the
tokens of the vocabulary, seen or not; the rows after them are the contexts kept, in the
order of their keys.
"""

import hashlib
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import PreTrainedModel

from tinyguardrail_common.errors import UserError
from tinyguardrail_common.progress import progress
from var_moe.mixture.blocks import check_length, routing_of

NO_CONTEXT = -1  # stands where a token has no previous one
# Contexts kept for each token of the vocabulary, on average: bounds memory on long corpora.
CONTEXTS_PER_TOKEN = 32


@dataclass(frozen=True)
class RoutingStatistics:
    """Sums over the calls of each row; R rows, L layers with experts, E experts."""

    vocab_size: int
    top_k: int
    model_sha256: str
    context_keys: Tensor  # (R - V,) int64, sorted; see `keys_of_contexts`
    frequency: Tensor  # (R,) int64, calls per layer
    probability_sum: Tensor  # (R, L, E) float64, of the router's softmax
    weight_sum: Tensor  # (R, L, E) float64, of the weights given to the chosen experts
    first_choice: Tensor  # (R, L, E) int64, histogram of the strongest expert
    normalized: bool = True  # the weights of a call sum to 1
    tokenizer_sha256: str = ""  # empty where unknown

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

    def _smooth(self, sums: Tensor, smoothing: float) -> Tensor:
        vocab = self.vocab_size
        count = self.frequency[:, None, None].double()
        layer_mean = sums[:vocab].sum(0) / self.frequency[:vocab].sum()  # (L, E)
        tokens = (sums[:vocab] + smoothing * layer_mean) / (count[:vocab] + smoothing)
        back_off = tokens[self.context_keys % vocab]
        contexts = (sums[vocab:] + smoothing * back_off) / (count[vocab:] + smoothing)
        return torch.cat([tokens, contexts])


def keys_of_contexts(
    token_ids: Tensor, vocab_size: int, mask: Tensor | None = None, before: Tensor | None = None
) -> Tensor:
    """int64 key of (previous token, token) at each place; `NO_CONTEXT` where there is no previous token.

    Args:
        token_ids: (B, S).
        mask: (B, S) bool, False where a token is padding; padding is nobody's context.
        before: (B,) the token before the first column, `NO_CONTEXT` where there is none.

    Returns:
        (B, S) int64.
    """
    real = token_ids if mask is None else token_ids.masked_fill(~mask, NO_CONTEXT)
    if before is None:
        before = token_ids.new_full((len(token_ids),), NO_CONTEXT)
    previous = torch.cat([before[:, None], real[:, :-1]], dim=1)
    return torch.where(previous >= 0, previous * vocab_size + token_ids, NO_CONTEXT)


def find_rows(
    context_keys: Tensor,
    vocab_size: int,
    token_ids: Tensor,
    mask: Tensor | None = None,
    before: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """The row of each of B * S tokens, its context's where there is one, and whether that is so.

    Args:
        context_keys: sorted, those that have rows.
        token_ids, mask, before: as `keys_of_contexts` takes them.
    """
    tokens = token_ids.reshape(-1)
    if not len(context_keys):
        return tokens, torch.zeros_like(tokens, dtype=torch.bool)
    key = keys_of_contexts(token_ids, vocab_size, mask, before).reshape(-1)
    position = torch.searchsorted(context_keys, key).clamp_(max=len(context_keys) - 1)
    cached = context_keys[position] == key
    return torch.where(cached, position + vocab_size, tokens), cached


def model_sha256(model: PreTrainedModel) -> str:
    """Hash of a model's parameters: names, types, shapes and bytes.

    Raises:
        UserError: a parameter is offloaded to disk, so that its bytes are not at hand.
    """
    digest = hashlib.sha256()
    for name, tensor in model.named_parameters():
        if tensor.is_meta:
            raise UserError(f"{name} is offloaded to disk: load the model onto devices or the CPU")
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().view(torch.uint8).numpy())
    return digest.hexdigest()


@torch.inference_mode()
def collect_statistics(
    model: PreTrainedModel,
    sequences: Tensor,
    batch_size: int,
    *,
    mask: Tensor | None = None,
    tokenizer_sha256: str = "",
    contexts_per_token: int = CONTEXTS_PER_TOKEN,
) -> RoutingStatistics:
    """One pass of the stock model over (N, S) token ids.

    Memory grows with the vocabulary, not with the text: of all contexts, the most frequent
    `contexts_per_token` times V have rows; ties go to the smaller key. Nothing is written
    before the pass is over, so an interrupted one is simply run again.

    Args:
        mask: (N, S) bool, False for padding, which is not counted; None for none.

    Raises:
        UserError: there is no token, a token the model does not know, or a sequence longer
            than its positions.
    """
    mask = torch.ones_like(sequences, dtype=torch.bool) if mask is None else mask
    _check(model, sequences, mask)
    routing, vocab = routing_of(model), model.config.vocab_size
    context_keys = _frequent_contexts(sequences, mask, vocab, batch_size, contexts_per_token * vocab)
    rows = vocab + len(context_keys)
    shape = (rows, routing.layers, routing.num_experts)
    statistics = RoutingStatistics(
        vocab_size=vocab,
        top_k=routing.top_k,
        model_sha256=model_sha256(model),
        context_keys=context_keys,
        frequency=torch.zeros(rows, dtype=torch.int64),
        probability_sum=torch.zeros(shape, dtype=torch.float64),
        weight_sum=torch.zeros(shape, dtype=torch.float64),
        first_choice=torch.zeros(shape, dtype=torch.int64),
        normalized=routing.normalized,
        tokenizer_sha256=tokenizer_sha256,
    )
    for start in progress(range(0, len(sequences), batch_size), "routing statistics"):
        ids, real = sequences[start : start + batch_size], mask[start : start + batch_size]
        _count(statistics, ids, real, _router_probabilities(model, ids, real))
    return statistics


def _count(statistics: RoutingStatistics, token_ids: Tensor, mask: Tensor, probability: Tensor) -> None:
    """Add (B, S) tokens, in place, by their router probabilities, (B * S, L, E)."""
    top = probability.topk(statistics.top_k, dim=-1)
    chosen = top.values / top.values.sum(-1, keepdim=True) if statistics.normalized else top.values
    weights = torch.zeros_like(probability).scatter_(-1, top.indices, chosen)
    first = torch.nn.functional.one_hot(top.indices[..., 0], probability.shape[-1])
    rows, known = find_rows(statistics.context_keys, statistics.vocab_size, token_ids, mask)
    real = mask.flatten()
    for index, part in ((token_ids.flatten(), real), (rows, real & known)):
        index = index[part]
        statistics.frequency.index_add_(0, index, torch.ones_like(index))
        statistics.probability_sum.index_add_(0, index, probability[part].double())
        statistics.weight_sum.index_add_(0, index, weights[part].double())
        statistics.first_choice.index_add_(0, index, first[part])


def _router_probabilities(model: PreTrainedModel, token_ids: Tensor, mask: Tensor) -> Tensor:
    """(B * S, L, E) float32, on the CPU whatever devices the layers are on."""
    padding = {}
    if not mask.all():
        positions = (mask.cumsum(1) - 1).clamp_min(0)
        padding = {"attention_mask": mask.long().to(model.device), "position_ids": positions.to(model.device)}
    output = model.model(
        input_ids=token_ids.to(model.device), use_cache=False, output_router_logits=True, **padding
    )
    return torch.stack([logits.cpu() for logits in output.router_logits], dim=1).float().softmax(-1)


def _frequent_contexts(
    sequences: Tensor, mask: Tensor, vocab_size: int, batch_size: int, limit: int
) -> Tensor:
    """Sorted keys of the `limit` most frequent contexts, counted a slice of the text at a time."""
    keys, counts = torch.empty(0, dtype=torch.int64), torch.empty(0, dtype=torch.int64)
    step = max(1, batch_size) * 64
    for start in range(0, len(sequences), step):
        real = mask[start : start + step]
        found = keys_of_contexts(sequences[start : start + step], vocab_size, real)[real]
        found, times = found[found >= 0].unique(return_counts=True)
        keys, place = torch.cat([keys, found]).unique(return_inverse=True)
        counts = torch.zeros_like(keys).index_add_(0, place, torch.cat([counts, times]))
    if len(keys) > limit:
        keys = keys[counts.argsort(descending=True, stable=True)[:limit]].sort().values
    return keys


def _check(model: PreTrainedModel, sequences: Tensor, mask: Tensor) -> None:
    if not mask.any():
        raise UserError("no sequences to collect routing statistics from")
    check_length(model, sequences.shape[1])
    highest = int(sequences.max())
    if highest >= model.config.vocab_size or int(sequences.min()) < 0:
        raise UserError(
            f"token id {highest} is outside the model's vocabulary of {model.config.vocab_size}: "
            "was the text encoded with another tokenizer?"
        )
