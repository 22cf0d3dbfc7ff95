"""How much weight the stock router gives to its second expert: what leaving it out can cost.

A router that was trained into giving its second expert nothing loses nothing when a table leaves
it out, and any saving measured on it is one that the stock model could have had too. The figure
therefore stands beside every change in perplexity.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from var_moe.blocks import check_length, moe_blocks


@torch.inference_mode()
def second_weights(model: PreTrainedModel, sequences: Tensor, batch_size: int) -> list[float]:
    """Mean share of the second expert in the weights of a call, by layer with experts.

    Args:
        model: with its own routers, at least two experts per token.
        sequences: (N, S) token ids without padding.
        batch_size: sequences at once.

    Returns:
        One number a layer, from 0 (the first expert has all the weight) to 0.5 (both have the same).

    Raises:
        UserError: the model has no experts, or a sequence is longer than its positions.
    """
    blocks = moe_blocks(model)
    check_length(model, sequences.shape[1])
    sums = [torch.zeros((), dtype=torch.float64) for _ in blocks]

    def count(layer: int):
        def add(router: nn.Module, args: tuple, output: tuple[Tensor, Tensor, Tensor]) -> None:
            weights = output[1].double()  # (T, K), strongest first
            sums[layer] += (weights[:, 1] / weights.sum(-1)).sum().cpu()

        return add

    handles = [block.gate.register_forward_hook(count(layer)) for layer, block in enumerate(blocks)]
    try:
        for batch in sequences.split(batch_size):
            model(input_ids=batch.to(model.device), use_cache=False)
    finally:
        for handle in handles:
            handle.remove()
    return [float(total) / sequences.numel() for total in sums]
