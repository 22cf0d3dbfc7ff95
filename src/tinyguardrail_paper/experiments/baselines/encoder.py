"""An encoder as it is, with its whole vocabulary, and how windows are read with it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from transformers import PreTrainedModel

from tinyguardrail_common.progress import progress
from tinyguardrail_paper.experiments.baselines.windows import Window, WordPieceWindows

PAD_MULTIPLE = 8  # few lengths of batches mean few shapes of products, whose kernels are found again
BATCH_SIZE = 32  # windows of one run without gradients


class MeanPooled(nn.Module):
    """An encoder whose sentences are the means of their last states."""

    def __init__(self, encoder: PreTrainedModel):
        super().__init__()
        self.encoder = encoder

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        """(B, T), (B, T) -> (B, D) in fp32."""
        states = self.encoder(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state.float()
        weights = attention_mask[..., None].float()
        return (states * weights).sum(1) / weights.sum(1)


@dataclass(frozen=True)
class Reader:
    """How windows reach a model: padded, on its device, in bf16 or fp32."""

    windows: WordPieceWindows
    device: torch.device
    precision: str

    @property
    def autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bf16")

    def run(self, model: nn.Module, windows: Sequence[Window]) -> torch.Tensor:
        """The model's output for a batch of windows."""
        batch = self.windows.collate(windows, PAD_MULTIPLE)
        with self.autocast:
            return model(*(torch.from_numpy(array).to(self.device) for array in batch))

    @torch.inference_mode()
    def run_all(self, model: nn.Module, windows: Sequence[Window], what: str) -> np.ndarray:
        """The same for any number of windows, (W, ...) in their order; batches are of like length."""
        model.eval()
        order = np.argsort([len(window.input_ids) for window in windows], kind="stable")
        batches = [order[start : start + BATCH_SIZE] for start in range(0, len(order), BATCH_SIZE)]
        found = [
            self.run(model, [windows[place] for place in batch]).float().cpu().numpy()
            for batch in progress(batches, what)
        ]
        outputs = np.concatenate(found)
        return outputs[np.argsort(order, kind="stable")]
