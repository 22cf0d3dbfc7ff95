"""Several processes as one: the same step as a single process would take on the whole batch.

`torchrun` and `accelerate launch` start the processes and set the environment that torch reads.
Losses look at a batch as a whole (which texts gain most, how many go deep, how loaded an expert
is), so the outputs of all processes are gathered and each computes the loss of the whole batch.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import distributed, nn
from torch.distributed.nn.functional import all_gather
from torch.nn.parallel import DistributedDataParallel

from tinyguardrail.model.modeling import GuardOutput

TEXT_AXIS = {"gate_probabilities": 1, "chosen_experts": 1}  # of fields that do not start with the texts


@dataclass(frozen=True)
class Workers:
    """This process's place among `size` processes, and its device."""

    rank: int
    size: int
    device: torch.device

    @property
    def first(self) -> bool:
        """Whether this process writes files and shows progress."""
        return self.rank == 0

    def wrap(self, model: nn.Module) -> nn.Module:
        """The model on this process's device, its gradients averaged over processes."""
        model.to(self.device)
        if self.size == 1:
            return model
        return DistributedDataParallel(model, broadcast_buffers=False, find_unused_parameters=True)

    def share(self, rows: np.ndarray) -> np.ndarray:
        """This process's rows of a batch; the last row fills up, so that all shares have one length."""
        longest = -(-len(rows) // self.size)
        places = np.arange(self.rank * longest, (self.rank + 1) * longest)
        return rows[np.minimum(places, len(rows) - 1)]

    def gather(self, output: GuardOutput, texts: int) -> GuardOutput:
        """The outputs of all processes, of the batch's `texts` texts in order, with gradients.

        The gather's backward sums what all processes ask of a part and the wrapped model then
        averages over processes, so each parameter's gradient is that of the whole batch.
        """
        if self.size == 1:
            return output
        fields = {}
        for name, part in output.items():
            axis = TEXT_AXIS.get(name, 0)
            gathered = all_gather(part) if part.requires_grad else _all_gather(part, self.size)
            fields[name] = torch.cat(tuple(gathered), axis).narrow(axis, 0, texts)
        return GuardOutput(**fields)

    def wait(self) -> None:
        """Until every process is here."""
        if self.size > 1:
            distributed.barrier()


@contextmanager
def workers() -> Iterator[Workers]:
    """Join the processes that a launcher started; alone without one. A GPU is used where there is one."""
    size, rank = int(os.environ.get("WORLD_SIZE", 1)), int(os.environ.get("RANK", 0))
    cuda = torch.cuda.is_available()
    device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0))) if cuda else torch.device("cpu")
    if size > 1:
        distributed.init_process_group("nccl" if cuda else "gloo")
    try:
        yield Workers(rank, size, device)
    finally:
        if size > 1:
            distributed.destroy_process_group()


def _all_gather(part: torch.Tensor, size: int) -> list[torch.Tensor]:
    parts = [torch.empty_like(part) for _ in range(size)]
    distributed.all_gather(parts, part.contiguous())
    return parts
