"""Resume state of an interrupted training run: safetensors and JSON, no pickle.

It lives in a folder that DVC does not know, named by a hash of everything the result
depends on, so that a run only ever resumes from its own state.
"""

import hashlib
import json
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import nn

from tinyguardrail_common.files import atomic_file

Tensors = dict[str, torch.Tensor]


def fingerprint(settings: Any, files: Iterable[Path]) -> str:
    """Hash of settings and of the contents of files, for the name of the resume folder."""
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
    for path in sorted(files):
        digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()[:16]


class Checkpoint:
    """Model, optimizer, random state and progress of a run, and the weights of its best epoch."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.path = folder / "state.safetensors"
        self.best = folder / "best.safetensors"

    def save(self, model: nn.Module, optimizer: torch.optim.Optimizer, progress: dict[str, Any]) -> None:
        tensors = {f"model.{name}": value for name, value in model.state_dict().items()}
        for name, state in _named_states(model, optimizer):
            tensors |= {f"optimizer.{name}.{key}": value for key, value in state.items()}
        tensors["random"] = torch.get_rng_state()
        with atomic_file(self.path) as temporary:
            save_file(tensors, temporary, metadata={"progress": json.dumps(progress)})

    def load(self, model: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Any] | None:
        """Restore in place and return the progress saved, or None when there is no state."""
        if not self.path.is_file():
            return None
        with safe_open(self.path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            progress = json.loads(file.metadata()["progress"])
        model.load_state_dict(_below(tensors, "model."))
        states = _below(tensors, "optimizer.")
        for group in optimizer.param_groups:
            for name, parameter in zip(group["names"], group["params"], strict=True):
                found = {
                    key: states[f"{name}.{key}"]
                    for key in ("step", "exp_avg", "exp_avg_sq")
                    if f"{name}.{key}" in states
                }
                if found:
                    optimizer.state[parameter] = found
        torch.set_rng_state(tensors["random"])
        return progress

    def save_best(self, model: nn.Module) -> None:
        """Keep the model's weights as those of the best epoch so far."""
        with atomic_file(self.best) as temporary:
            save_file(model.state_dict(), temporary)

    def load_best(self, model: nn.Module) -> None:
        model.load_state_dict(load_file(self.best))

    def remove(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)


def _named_states(model: nn.Module, optimizer: torch.optim.Optimizer) -> Iterable[tuple[str, Tensors]]:
    for group in optimizer.param_groups:
        for name, parameter in zip(group["names"], group["params"], strict=True):
            yield name, optimizer.state.get(parameter, {})


def _below(tensors: Tensors, prefix: str) -> Tensors:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
