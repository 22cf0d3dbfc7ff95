"""The arms that VAR is compared with, on one model: stock kernels, own kernel, ratio skip, VAR.

Stock arms run the model as it came, with no hook of ours in the way. `router_ratio_skip`
keeps the stock router for every call and leaves out the second expert by the same thresholds
as VAR, with the same kernel: what it has in common with VAR is the saving, what it lacks is
the table.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from var_moe.mixture.blocks import moe_blocks
from var_moe.mixture.experts import EXPERTS_IMPLEMENTATION
from var_moe.routing.router import skip_by_ratio
from var_moe.routing.wrapper import VARMixtralWrapper

STOCK_EAGER, STOCK_GROUPED = "stock_eager", "stock_grouped_mm"
STOCK_ARMS = (STOCK_EAGER, STOCK_GROUPED)
OWN_ARM, SKIP_ARM, VAR_ARM = "own_kernel_var_off", "router_ratio_skip", "var"
ARMS = (*STOCK_ARMS, OWN_ARM, SKIP_ARM, VAR_ARM)
_IMPLEMENTATIONS = {
    STOCK_EAGER: "eager",
    STOCK_GROUPED: "grouped_mm",
    OWN_ARM: EXPERTS_IMPLEMENTATION,
    SKIP_ARM: EXPERTS_IMPLEMENTATION,
}


class RatioSkip:
    """Forward hook on a stock router: one expert where the second hardly counts.

    Args:
        ratio_threshold: a call whose second weight is at most this part of its first uses one
            expert; a negative one skips nothing.
        num_experts: what stands in a slot that is left out.
    """

    def __init__(self, ratio_threshold: float, num_experts: int) -> None:
        self.ratio_threshold = ratio_threshold
        self.num_experts = num_experts
        self.calls, self.experts = 0, torch.zeros((), dtype=torch.int64)

    def __call__(self, router: nn.Module, args: tuple, output: tuple[Tensor, Tensor, Tensor]) -> tuple:
        logits, weights, indices = output  # (T, E), (T, K), (T, K), strongest first
        weights, kept = skip_by_ratio(weights, indices, self.ratio_threshold, self.num_experts)
        self.calls += len(kept)
        self.experts += (kept < self.num_experts).sum()
        return logits, weights, kept


@contextmanager
def running(wrapper: VARMixtralWrapper, arm: str) -> Iterator[list[RatioSkip]]:
    """Run `wrapper.model` as one arm inside the block, and give it back with VAR off.

    Yields:
        The hooks of the ratio skip, one per layer, for their counts; none in other arms.
    """
    model = wrapper.model
    wrapper.disable_var()
    original = model.config._experts_implementation
    hooks: list[RatioSkip] = []
    handles = []
    try:
        if arm == VAR_ARM:
            wrapper.enable_var()
        else:
            model.set_experts_implementation(_IMPLEMENTATIONS[arm])
        if arm == SKIP_ARM:
            table = wrapper.table
            hooks = [RatioSkip(float(ratio), table.num_experts) for ratio in table.ratio_thresholds]
            pairs = zip(moe_blocks(model), hooks, strict=True)
            handles = [block.gate.register_forward_hook(hook) for block, hook in pairs]
        yield hooks
    finally:
        for handle in handles:
            handle.remove()
        wrapper.disable_var()
        model.set_experts_implementation(original)


def experts_per_call(hooks: list[RatioSkip]) -> float:
    """Mean number of experts over all calls that the hooks have seen."""
    return int(sum(hook.experts for hook in hooks)) / sum(hook.calls for hook in hooks)
