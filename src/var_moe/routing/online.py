"""An optional, bounded memory of what the router decided for contexts the table does not have.

Off by default, and slow: it walks in Python over the tokens that the table leaves to the
router, which takes longer than asking the router does on a small model. It is there because
the idea is natural and can be checked: its decisions follow from the log as the table's do.
Unlike a row of the table, an entry is one observation and no threshold of confidence guards it.
"""

from collections import OrderedDict
from dataclasses import dataclass

import torch
from torch import Tensor

from var_moe.routing.config import VARConfig
from var_moe.routing.statistics import NO_CONTEXT, keys_of_contexts
from var_moe.routing.table import CACHED, LEARNED, PADDING, Plan, RoutingTable


@dataclass(frozen=True)
class _Entry:
    born: int  # tokens routed before it was put in
    layers: Tensor  # (L,) bool, where the router had decided
    experts: Tensor  # (L, K) int64
    weights: Tensor  # (L, K) float32


class OnlineCache:
    """Least recently used contexts go first; an entry is too old once `ttl_tokens` were routed.

    Within one forward pass look-ups see the passes before it, never the pass itself, and go
    through the tokens in the order of the batch: the same passes in the same order give the
    same decisions.
    """

    def __init__(self, size: int, ttl_tokens: int) -> None:
        self.size, self.ttl_tokens = size, ttl_tokens
        self._entries: OrderedDict[int, _Entry] = OrderedDict()
        self._clock = 0  # tokens routed

    def clear(self) -> None:
        self._entries.clear()
        self._clock = 0

    def decide(self, plan: Plan, keys: Tensor) -> None:
        """Fill in, in place, the learned calls of contexts that are remembered.

        Args:
            plan: of T tokens, on the CPU.
            keys: (T,) int64 context keys; negative where the context is none or the table's.
        """
        open_calls = plan.routes == LEARNED  # (L, T)
        for position in self._positions(open_calls, keys):
            key = int(keys[position])
            entry = self._entries.get(key)
            if entry is None:
                continue
            if self._clock - entry.born >= self.ttl_tokens:
                del self._entries[key]
                continue
            self._entries.move_to_end(key)
            layers = open_calls[:, position] & entry.layers
            plan.routes[layers, position] = CACHED
            plan.experts[layers, position] = entry.experts[layers]
            plan.weights[layers, position] = entry.weights[layers]

    def new_contexts(self, plan: Plan, keys: Tensor) -> Tensor:
        """(n,) positions of the contexts to remember: the last of each that the router decided on."""
        positions = self._positions(plan.routes == LEARNED, keys)
        last = {int(keys[position]): position for position in positions}
        return torch.tensor(list(last.values()), dtype=torch.int64)

    def remember(self, plan: Plan, keys: Tensor, positions: Tensor, experts: Tensor, weights: Tensor) -> None:
        """Put in what the router decided, and move the clock on by the tokens of the pass.

        Args:
            positions: (n,) from `new_contexts`.
            experts, weights: (n, L, K), of those positions.
        """
        for row, position in enumerate(positions.tolist()):
            key = int(keys[position])
            learned = plan.routes[:, position] == LEARNED
            self._entries[key] = _Entry(self._clock, learned, experts[row], weights[row])
            self._entries.move_to_end(key)
            if len(self._entries) > self.size:
                self._entries.popitem(last=False)
        self._clock += int((plan.routes[0] != PADDING).sum())

    @staticmethod
    def _positions(open_calls: Tensor, keys: Tensor) -> list[int]:
        return (open_calls.any(0) & (keys >= 0)).nonzero().flatten().tolist()


def online_cache(config: VARConfig) -> OnlineCache | None:
    """The online cache that a configuration asks for, None where it asks for none."""
    return OnlineCache(config.cache_size, config.cache_ttl_tokens) if config.cache_size else None


def plan_pass(
    table: RoutingTable,
    cache: OnlineCache | None,
    token_ids: Tensor,
    mask: Tensor | None,
    before: Tensor | None,
) -> tuple[Plan, Tensor]:
    """The plan of (B, S) token ids by table and online cache: what runs, and what a replay has to give.

    Returns:
        plan: of B * S tokens.
        keys: (B * S,) of the contexts that the cache may hold; -1 for none, padding and the table's own.
    """
    plan = table.plan(token_ids, mask, before)
    if cache is None:
        return plan, token_ids.new_empty(0)
    keys = keys_of_contexts(token_ids, table.vocab_size, mask, before)
    keys = keys.masked_fill(torch.isin(keys, table.context_keys), NO_CONTEXT)
    keys = (keys if mask is None else keys.masked_fill(~mask, NO_CONTEXT)).reshape(-1)
    cache.decide(plan, keys)
    return plan, keys
