"""Trains the reference mixture of experts so that its routing can be looked up.

Three additions make single-expert calls and table look-ups cheap: second experts left out, a
penalty on the router's entropy, and a divergence between the router's distribution and a running
mean of it for the same token. A recipe says which of them a model is trained with.
"""

import math
from collections.abc import Callable, Iterable, Sequence

import torch
import torch.nn.functional as F
from tokenizers import Tokenizer
from torch import Tensor, nn
from transformers import MixtralForCausalLM
from transformers.models.mixtral.modeling_mixtral import MixtralTopKRouter

from tinyguardrail_common.errors import UserError
from tinyguardrail_common.progress import progress
from var_moe.mixture.blocks import check_length
from var_moe.mixture.experts import EXPERTS_IMPLEMENTATION
from var_moe.params import Var, VarTrain
from var_moe.reference.corpus import END_OF_TEXT, Document, pack
from var_moe.reference.model import build_model
from var_moe.reference.recipes import Recipe, recipe_of

SKIPPED = 0.75  # share of a layer's tokens that the rule `ratio` takes for one expert


class SecondExpertDropout:
    """Leaves second experts out while the model trains; `hook` is for the router of each layer.

    By the rule `random` that of each token, in every layer, by chance. By the rule `ratio` in sequences
    taken by chance, of the `SKIPPED` tokens whose second expert weighs least beside the first: where the
    table of a balanced preset will leave it out too, which spares the first layer. In a part of these
    sequences, `whole`, every call does with one expert, as it will by the aggressive preset. The other
    sequences keep both experts, so that the model learns to do with either.

    Args:
        recipe: with the probability `drop_second`, the rule `skip_rule` and the share `whole`.
        generator: of the random numbers.
    """

    def __init__(self, recipe: Recipe, num_experts: int, generator: torch.Generator) -> None:
        self.recipe = recipe
        self.num_experts = num_experts
        self.generator = generator
        self.taken = self.whole = torch.zeros(0, dtype=torch.bool)

    def start(self, sequences: int, *, active: bool) -> None:
        """Begin a step over so many sequences; nothing is left out where not `active`."""
        self.active = active
        if self.recipe.skip_rule == "ratio":
            chance, probability = torch.rand(sequences, generator=self.generator), self.recipe.drop_second
            self.taken, self.whole = chance < probability, chance < probability * self.recipe.whole

    def hook(self, layer: int) -> Callable[..., tuple[Tensor, Tensor, Tensor] | None]:
        """A forward hook on the stock router of a layer."""

        def leave_out(router: nn.Module, args: tuple, output: tuple[Tensor, Tensor, Tensor]) -> tuple:
            logits, weights, indices = output  # (T, E), (T, 2), (T, 2)
            if not self.active:
                return output
            drop = self._choose(weights, layer)  # (T,)
            dropped = torch.stack([torch.zeros_like(drop), drop], dim=1)
            alone = torch.tensor([1.0, 0.0]).expand_as(weights)
            weights = torch.where(drop[:, None], alone, weights)
            return logits, weights, indices.masked_fill(dropped, self.num_experts)

        return leave_out

    def _choose(self, weights: Tensor, layer: int) -> Tensor:
        if self.recipe.skip_rule == "random":
            return torch.rand(len(weights), generator=self.generator) < self.recipe.drop_second
        ratio = (weights[:, 1] / weights[:, 0]).detach()
        least = ratio <= ratio.quantile(SKIPPED)
        taken, whole = (
            each.repeat_interleave(len(weights) // len(each)) for each in (self.taken, self.whole)
        )
        return least & taken & (layer > 0) | whole


class RoutingLoss:
    """Balance, entropy and token terms, per layer, from the router's logits.

    Args:
        layers, vocab_size, num_experts: sizes of the running mean kept per token.
        balance_weight: of load balancing, which every recipe has.
        recipe: weights of the two other terms.
        decay: of the running mean, per step in which the token occurs.
    """

    def __init__(
        self,
        layers: int,
        vocab_size: int,
        num_experts: int,
        balance_weight: float,
        recipe: Recipe,
        decay: float = 0.8,
    ) -> None:
        self.mean = torch.full((layers, vocab_size, num_experts), 1 / num_experts)
        self.balance_weight, self.recipe = balance_weight, recipe
        self.decay = decay
        self.aware = True  # False: load balancing alone, but the running mean is kept

    def __call__(self, router_logits: Iterable[Tensor], token_ids: Tensor) -> Tensor:
        """Scalar loss of one batch; `router_logits` has one (T, E) tensor per layer, `token_ids` is (T,)."""
        total = torch.zeros(())
        tokens, inverse, counts = torch.unique(token_ids, return_inverse=True, return_counts=True)
        for layer, logits in enumerate(router_logits):
            log_probability = F.log_softmax(logits.float(), dim=-1)
            probability = log_probability.exp()
            experts = probability.shape[1]
            # Switch Transformer (arXiv 2101.03961), equations 4-6, over both choices.
            chosen = F.one_hot(probability.topk(2, dim=-1).indices, experts).sum(1).float().mean(0) / 2
            balance = experts * (chosen * probability.mean(0)).sum()
            entropy = -(probability * log_probability).sum(-1).mean()

            with torch.no_grad():
                batch_mean = torch.zeros(len(tokens), experts).index_add_(0, inverse, probability)
                batch_mean /= counts[:, None]
                self.mean[layer, tokens] = self.mean[layer, tokens].lerp(batch_mean, 1 - self.decay)
                reference = self.mean[layer, token_ids].clamp_min(1e-6).log()
            token = (probability * (log_probability - reference)).sum(-1).mean()
            total = total + self.balance_weight * balance
            if self.aware:
                total = total + self.recipe.entropy_weight * entropy + self.recipe.token_weight * token
        return total


def learning_rate_factor(step: int, steps: int, warmup_fraction: float) -> float:
    """Linear warm-up, then a straight line to zero."""
    warmup = max(1, round(steps * warmup_fraction))
    return min((step + 1) / warmup, (steps - step) / max(1, steps - warmup))


def train_reference(
    settings: Var, documents: Sequence[Document], tokenizer: Tokenizer, seed: int
) -> tuple[MixtralForCausalLM, list[float]]:
    """A reference model of one seed and its losses, see `train_model`.

    Raises:
        CorpusError: the documents do not fill one sequence.
    """
    train = settings.train
    sequences = pack(documents, tokenizer, train.sequence_length, train.steps * train.batch_size)
    torch.manual_seed(seed)
    model = build_model(settings.model, tokenizer.get_vocab_size(), tokenizer.token_to_id(END_OF_TEXT))
    return model, train_model(model, sequences, train, seed)


def train_model(model: MixtralForCausalLM, sequences: Tensor, settings: VarTrain, seed: int) -> list[float]:
    """Train in place; one pass in random order, repeated if the text runs out.

    Args:
        sequences: (N, S) token ids.

    Returns:
        The language-modelling loss of each step, in nats per token.

    Raises:
        UserError: a sequence is longer than the model's positions, or the loss is not finite.
    """
    config = model.config
    check_length(model, sequences.shape[1])
    recipe = recipe_of(settings, settings.recipe)
    generator = torch.Generator().manual_seed(seed)
    model.set_experts_implementation(EXPERTS_IMPLEMENTATION)
    dropout = SecondExpertDropout(recipe, config.num_local_experts, generator)
    routers = [module for module in model.modules() if isinstance(module, MixtralTopKRouter)]
    hooks = [router.register_forward_hook(dropout.hook(layer)) for layer, router in enumerate(routers)]
    routing_loss = RoutingLoss(
        config.num_hidden_layers, config.vocab_size, config.num_local_experts, settings.balance_weight, recipe
    )
    optimizer = torch.optim.AdamW(_parameter_groups(model, settings), betas=(0.9, 0.95), fused=True)
    needed = math.ceil(settings.steps * settings.batch_size / len(sequences))
    order = torch.cat([torch.randperm(len(sequences), generator=generator) for _ in range(needed)])

    losses = []
    model.train()
    for step in progress(range(settings.steps), "training", total=settings.steps):
        rows = order[step * settings.batch_size : (step + 1) * settings.batch_size]
        batch = sequences[rows]
        aware = step >= recipe.begins * settings.steps
        dropout.start(len(batch), active=aware)
        routing_loss.aware = aware
        for group in optimizer.param_groups:
            group["lr"] = settings.learning_rate * learning_rate_factor(
                step, settings.steps, settings.warmup_fraction
            )
        with torch.autocast("cpu", torch.bfloat16):
            output = model(input_ids=batch, use_cache=False, output_router_logits=True)
        loss = F.cross_entropy(output.logits[:, :-1].flatten(0, 1).float(), batch[:, 1:].flatten())
        (loss + routing_loss(output.router_logits, batch.flatten())).backward()
        nn.utils.clip_grad_norm_(model.parameters(), settings.clip_norm, foreach=True)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        losses.append(loss.item())
        if not math.isfinite(losses[-1]):
            raise UserError(f"the loss is not finite at step {step}: lower var.train.learning_rate")
    for hook in hooks:
        hook.remove()
    model.set_experts_implementation("eager")
    model.eval()
    return losses


def _parameter_groups(model: nn.Module, settings: VarTrain) -> list[dict]:
    matrices = [p for p in model.parameters() if p.ndim >= 2]
    vectors = [p for p in model.parameters() if p.ndim < 2]
    return [
        {"params": matrices, "weight_decay": settings.weight_decay, "lr": settings.learning_rate},
        {"params": vectors, "weight_decay": 0.0, "lr": settings.learning_rate},
    ]
