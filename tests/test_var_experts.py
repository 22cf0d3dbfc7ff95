"""VAR's experts kernel computes what the stock one does, values and gradients."""

import pytest
import torch
from transformers import MixtralConfig
from transformers.models.mixtral.modeling_mixtral import MixtralExperts

from var_moe.mixture.experts import grouped_experts

EXPERTS = 4
ROUTINGS = {
    "mixed": torch.tensor([[0, 1], [3, 2], [1, 0], [2, 3], [0, 3]]),
    "one token": torch.tensor([[2, 0]]),
    "empty experts": torch.tensor([[1, 3], [1, 3], [3, 1]]),
    "all on one expert": torch.tensor([[2, EXPERTS], [2, EXPERTS], [2, EXPERTS]]),
    "one and two experts": torch.tensor([[0, EXPERTS], [1, 2], [3, EXPERTS], [2, 0]]),
    "no expert at all": torch.tensor([[EXPERTS, EXPERTS], [0, 1]]),
    "nothing to do": torch.tensor([[EXPERTS, EXPERTS]]),
}


@pytest.fixture
def experts() -> MixtralExperts:
    torch.manual_seed(0)
    config = MixtralConfig(hidden_size=8, intermediate_size=12, num_local_experts=EXPERTS)
    config._experts_implementation = "eager"
    module = MixtralExperts(config)
    for parameter in module.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    return module


def run(function, experts, routing):
    """Output, and the gradients of hidden states, weights of the sum and both projections."""
    generator = torch.Generator().manual_seed(1)
    hidden = torch.randn(len(routing), 8, generator=generator, requires_grad=True)
    weights = torch.rand(routing.shape, generator=generator).requires_grad_()
    output = function(hidden, routing, weights)
    inputs = [hidden, weights, experts.gate_up_proj, experts.down_proj]
    loss = (output * torch.arange(8.0)).sum()
    if not loss.requires_grad:
        return output, [torch.zeros_like(tensor) for tensor in inputs]
    gradients = torch.autograd.grad(loss, inputs, allow_unused=True)
    return output, [
        torch.zeros_like(tensor) if gradient is None else gradient
        for gradient, tensor in zip(gradients, inputs, strict=True)
    ]


@pytest.mark.parametrize("name", ROUTINGS)
def test_own_kernel_equals_stock_kernel(name, experts):
    routing = ROUTINGS[name]
    expected, expected_gradients = run(experts, experts, routing)
    output, gradients = run(lambda *args: grouped_experts(experts, *args), experts, routing)
    torch.testing.assert_close(output, expected)
    for gradient, reference in zip(gradients, expected_gradients, strict=True):
        torch.testing.assert_close(gradient, reference)


def test_own_kernel_is_close_in_half_precision(experts):
    experts = experts.to(torch.bfloat16)
    hidden = torch.randn(64, 8).to(torch.bfloat16)
    routing = torch.stack([torch.randperm(EXPERTS)[:2] for _ in range(64)])
    weights = torch.rand(64, 2)
    with torch.inference_mode():
        expected = experts(hidden, routing, weights)
        output = grouped_experts(experts, hidden, routing, weights)
    torch.testing.assert_close(output, expected, rtol=0.05, atol=0.05)
