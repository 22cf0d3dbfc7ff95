"""What is timed: prefill of a batch, and decoding token by token over a cache of keys and values.

Decoding follows a given text and does not sample, so that every arm does the same steps.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

from tinyguardrail.errors import UserError

PREFILL, DECODE = "prefill", "decode"


class TimingSettings(Protocol):
    prefill_batches: list[int]
    decode_batches: list[int]
    decode_prompt: int
    decode_tokens: int
    threads: list[int]


@dataclass(frozen=True)
class Workload:
    """One thing to time; `token_ids` is (B, S), of which decoding reads the first `prompt` untimed."""

    kind: str
    token_ids: Tensor
    prompt: int
    threads: int

    @property
    def name(self) -> str:
        batch, length = self.token_ids.shape
        size = f"{batch}x{length}" if self.kind == PREFILL else str(batch)
        return f"{self.kind}_{size}_threads{self.threads}"

    @property
    def tokens(self) -> int:
        """Tokens behind one timing."""
        batch, length = self.token_ids.shape
        return batch * (length - self.prompt)

    @torch.inference_mode()
    def seconds(self, model: nn.Module) -> float:
        """One timed run."""
        if self.kind == PREFILL:
            start = time.perf_counter()
            model(input_ids=self.token_ids, use_cache=False)
            return time.perf_counter() - start
        cache = model(input_ids=self.token_ids[:, : self.prompt], use_cache=True).past_key_values
        start = time.perf_counter()
        for position in range(self.prompt, self.token_ids.shape[1]):
            step = self.token_ids[:, position : position + 1]
            cache = model(input_ids=step, past_key_values=cache, use_cache=True).past_key_values
        return time.perf_counter() - start


def build_workloads(settings: TimingSettings, ids: Tensor, length: int) -> list[Workload]:
    """Every workload on every number of threads, on consecutive pieces of one text.

    Args:
        ids: (T,) token ids; read from the start again where they do not suffice.
        length: tokens of a prefilled sequence.

    Raises:
        UserError: a decoded sequence would be longer than a prefilled one, which the model's
            positions are known to hold.
    """
    decoded = settings.decode_prompt + settings.decode_tokens
    if decoded > length:
        raise UserError(
            f"var.eval.decode_prompt + decode_tokens = {decoded} exceed the sequence of {length} tokens"
        )
    workloads = []
    for threads in settings.threads:
        for batch in settings.prefill_batches:
            workloads.append(Workload(PREFILL, _rows(ids, batch, length), 0, threads))
        for batch in settings.decode_batches:
            workloads.append(Workload(DECODE, _rows(ids, batch, decoded), settings.decode_prompt, threads))
    return workloads


def largest_prefill(workloads: Iterable[Workload]) -> Workload:
    """The workload that headline speed-ups are of: the largest prefilled batch on the fewest threads."""
    prefills = [each for each in workloads if each.kind == PREFILL]
    return min(prefills, key=lambda each: (each.threads, -each.tokens))


def _rows(ids: Tensor, batch: int, length: int) -> Tensor:
    needed = batch * length
    return ids.repeat(-(-needed // len(ids)))[:needed].view(batch, length)
