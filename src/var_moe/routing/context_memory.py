"""Which token came before the first one of a forward pass: the context that decoding needs."""

import functools
from collections.abc import Callable
from typing import Any

from torch import Tensor

from var_moe.routing.statistics import NO_CONTEXT


class ContextMemory:
    """Remembers, between the passes over a cache, each sequence's last token; see `VARMixtralWrapper`."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        self._handed_over: Tensor | None = None  # (B,) by generate
        self._last: tuple[int, Tensor] | None = None  # tokens seen, (B,) the last of them

    def watch(self, prepare: Callable[..., dict[str, Any]]) -> Callable[..., dict[str, Any]]:
        """`prepare_inputs_for_generation` that notes the token before those about to run."""

        @functools.wraps(prepare)
        def wrapped(input_ids: Tensor, *args: Any, **kwargs: Any) -> dict[str, Any]:
            inputs = prepare(input_ids, *args, **kwargs)
            ids = inputs.get("input_ids")
            if ids is not None and input_ids.shape[1] > ids.shape[1]:
                self._handed_over = input_ids[:, -ids.shape[1] - 1]
            return inputs

        return wrapped

    def before(self, token_ids: Tensor, past: int, mask: Tensor | None) -> Tensor | None:
        """(B,) the token before the first of (B, S), and remember these for the next pass.

        Args:
            past: tokens in the cache.
            mask: (B, past + S) bool, False for padding.

        Returns:
            None where no sequence has a context; else `NO_CONTEXT` for those without.
        """
        found = None
        if past and self._handed_over is not None:
            found = self._handed_over
        elif past and self._last is not None and self._last[0] == past:
            found = self._last[1] if len(self._last[1]) == len(token_ids) else None
        length = token_ids.shape[1]
        if mask is not None and found is not None and mask.shape[1] > length:
            found = found.masked_fill(~mask[:, -length - 1], NO_CONTEXT)
        self._handed_over = None
        self._last = (past + length, token_ids[:, -1])
        return found
