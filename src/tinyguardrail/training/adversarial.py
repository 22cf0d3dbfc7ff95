"""Adversarial training on embeddings: the text that looks worst within a small step.

One step is FGSM (Goodfellow et al. 2014, 1412.6572), several are PGD (Madry et al. 2017,
1706.06083). Tokens are discrete, so the step is taken on the vector that the layers read, as
Miyato et al. (2016, 1605.07725) do, in the largest-coordinate norm.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import nn


class EmbeddingAttack:
    """Adds a perturbation to what the embeddings give, and finds the one that raises the loss.

    Args:
        embeddings: the module whose output (B, T, D) is perturbed.
        epsilon: largest change of a coordinate. The embeddings are layer-normed, so that one is
            about a coordinate's standard deviation.
        steps: 1 for FGSM; more for PGD, each of 2 epsilon / steps, back into the box.
    """

    def __init__(self, embeddings: nn.Module, epsilon: float, steps: int):
        self.embeddings = embeddings
        self.epsilon = epsilon
        self.steps = steps
        self.size = epsilon if steps == 1 else 2 * epsilon / steps

    def find(self, loss: Callable[[], torch.Tensor]) -> torch.Tensor:
        """The perturbation (B, T, D) after all steps; `loss` runs the model and returns a scalar."""
        delta: torch.Tensor | None = None
        for _ in range(self.steps):
            with self.applied(delta) as seen:
                (gradient,) = torch.autograd.grad(loss(), seen)
            step = self.size * gradient.sign()
            delta = (step if delta is None else delta + step).clamp(-self.epsilon, self.epsilon)
        return delta

    @contextmanager
    def applied(self, delta: torch.Tensor | None) -> Iterator[list[torch.Tensor]]:
        """Within, the embeddings give their output plus `delta`; the sums given are in the list."""
        seen: list[torch.Tensor] = []

        def add(module: nn.Module, inputs: tuple, output: torch.Tensor) -> torch.Tensor:
            seen.append(output if delta is None else output + delta.to(output.dtype))
            return seen[-1]

        handle = self.embeddings.register_forward_hook(add)
        try:
            yield seen
        finally:
            handle.remove()
