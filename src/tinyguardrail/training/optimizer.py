"""AdamW with two learning rates, and their schedule."""

from typing import Any

import torch
from torch import nn

from tinyguardrail.training.params import Train

PRETRAINED = (
    "embeddings.words",
    "embeddings.positions",
    "embeddings.norm",
    "fast.layers",
    "deep.layers",
)
NEW = ("mixture.gate",)  # parts of pretrained layers that have no pretrained weights


def build_optimizer(model: nn.Module, settings: Train) -> torch.optim.Optimizer:
    """AdamW with a higher rate for what starts from scratch, and no decay on vectors."""
    groups: dict[tuple[float, float], dict[str, Any]] = {}
    for name, parameter in model.named_parameters():
        old = name.startswith(PRETRAINED) and not any(part in name for part in NEW)
        rate = settings.learning_rate if old else settings.head_learning_rate
        decay = settings.weight_decay if parameter.ndim > 1 else 0.0
        group = groups.setdefault(
            (rate, decay), {"params": [], "names": [], "lr": rate, "base_lr": rate, "weight_decay": decay}
        )
        group["params"].append(parameter)
        group["names"].append(name)
    return torch.optim.AdamW(groups.values(), fused=True)


def set_rates(optimizer: torch.optim.Optimizer, factor: float) -> None:
    """Every group's learning rate at this share of its highest."""
    for group in optimizer.param_groups:
        group["lr"] = group["base_lr"] * factor


def schedule(step: int, total: int, warmup_fraction: float) -> float:
    """Linear warm-up, then linear decay to zero."""
    warmup = max(1, round(total * warmup_fraction))
    if step < warmup:
        return (step + 1) / warmup
    return max(0.0, (total - step) / max(1, total - warmup))
