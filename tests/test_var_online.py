"""The optional online cache: bounded, deterministic, and replayed by `verify` like the table."""

from collections import OrderedDict
from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from var_model import LAYERS, LENGTH, VOCAB, chained, tiny_model, tiny_table, token_ids
from var_moe.routing.online import OnlineCache
from var_moe.routing.table import CACHED, LEARNED, PADDING, Plan
from var_moe.routing.verification import verify
from var_moe.routing.wrapper import VARMixtralWrapper


@pytest.fixture(scope="module")
def table():
    return tiny_table(tiny_model())


def wrapped(table, size, ttl=10_000, **options):
    config = table.config.model_copy(update={"cache_size": size, "cache_ttl_tokens": ttl})
    return VARMixtralWrapper(tiny_model(), table, config, **options)


def run(wrapper, seeds=(1, 2, 1, 3, 1)):
    with torch.inference_mode():
        return [wrapper(input_ids=token_ids(4, seed=seed)).logits for seed in seeds]


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.lists(st.integers(0, 5), min_size=1, max_size=6), min_size=1, max_size=12),
    st.integers(1, 4),
    st.integers(1, 25),
)
def test_it_is_a_least_recently_used_memory_with_a_life_in_tokens(passes, size, ttl):
    """Against a few lines of Python over one layer; every pass teaches its own number."""
    cache = OnlineCache(size, ttl)
    expected, clock = OrderedDict(), 0
    for number, keys in enumerate(passes):
        routes = torch.full((1, len(keys)), LEARNED, dtype=torch.uint8)
        plan = Plan(routes, torch.zeros(1, len(keys), 2, dtype=torch.int64), torch.zeros(1, len(keys), 2))
        cache.decide(plan, torch.tensor(keys))
        for position, key in enumerate(keys):
            if key in expected and clock - expected[key][0] >= ttl:
                del expected[key]
            if key in expected:
                expected.move_to_end(key)
                assert plan.routes[0, position] == CACHED
                assert plan.weights[0, position, 0] == expected[key][1]
            else:
                assert plan.routes[0, position] == LEARNED
        found = cache.new_contexts(plan, torch.tensor(keys))
        new = torch.full((len(found), 1, 2), float(number))
        for key in dict.fromkeys(key for key in keys if key not in expected):
            expected[key] = (clock, number)
        while len(expected) > size:
            expected.popitem(last=False)
        cache.remember(plan, torch.tensor(keys), found, new.long(), new)
        clock += len(keys)
        assert len(cache._entries) == len(expected) <= size


def test_off_by_default(table):
    assert table.config.cache_size == 0
    wrapper = VARMixtralWrapper(tiny_model(), table)
    run(wrapper)
    assert wrapper._recorder.cache is None


def test_a_repeated_context_is_decided_as_the_router_did_before(table):
    """The second time, only contexts of the table, first tokens and its unsure calls reach the router."""
    ids = token_ids(4, seed=1)
    wrapper = wrapped(table, size=1000)
    run(wrapper, seeds=(1,))
    wrapper.reset_performance_stats()
    run(wrapper, seeds=(1,))
    again = wrapper.get_performance_stats()
    plan = table.plan(ids)
    previous = torch.cat([torch.full((4, 1), -1), ids[:, :-1]], dim=1).flatten()
    of_table = torch.isin(previous * VOCAB + ids.flatten(), table.context_keys)
    left = (plan.routes == LEARNED) & (of_table | (previous < 0))
    assert again["learned_share"] == pytest.approx(left.float().mean().item())
    assert again["learned_share"] < (plan.routes == LEARNED).float().mean()


def test_the_same_passes_give_the_same_logits_and_a_reset_starts_anew(table):
    wrapper = wrapped(table, size=20, ttl=100)
    first = run(wrapper)
    again = run(wrapped(table, size=20, ttl=100))
    wrapper.reset()
    third = run(wrapper)
    assert all(map(torch.equal, first, again))
    assert all(map(torch.equal, first, third))


@pytest.mark.parametrize(("size", "ttl"), [(5, 10_000), (1000, 60), (1000, 10_000)])
def test_its_decisions_are_replayed_from_the_log(table, tmp_path, size, ttl):
    path = tmp_path / "routing.log"
    with wrapped(table, size, ttl, log_path=path) as wrapper:
        run(wrapper)
        wrapper.reset()
        run(wrapper, seeds=(1, 1))
        prompt = token_ids(2, seed=9)[:, :5]
        wrapper.generate(prompt, attention_mask=torch.ones_like(prompt), max_new_tokens=4, do_sample=False)
        stats = wrapper.get_performance_stats()
    found = verify(path, table)
    table_alone = sum(
        int((table.plan(token_ids(4, seed=seed)).routes == LEARNED).sum()) for seed in (1, 2, 1, 3, 1, 1, 1)
    )
    assert 0 < found.learned_calls < table_alone + (2 * 5 + 2 * 3) * LAYERS
    assert stats["learned_share"] <= 1


def test_the_log_depends_on_what_was_remembered(table, tmp_path):
    """With another size than was run with, the decisions no longer follow."""
    path = tmp_path / "routing.log"
    with wrapped(table, 1000, log_path=path) as wrapper:
        run(wrapper)
    lines = path.read_bytes().splitlines(keepends=True)
    lines[0] = lines[0].replace(rb"cache_size\":1000", rb"cache_size\":3")
    path.write_bytes(b"".join(chained(lines)))
    with pytest.raises(ValueError, match="record 3: its decisions do not follow"):
        verify(path, table)


def test_padding_neither_counts_nor_is_remembered(table):
    wrapper = wrapped(table, size=1000)
    padded = torch.cat([torch.zeros(4, 3, dtype=torch.int64), token_ids(4, seed=1)], dim=1)
    mask = torch.cat([torch.zeros(4, 3, dtype=torch.int64), torch.ones(4, LENGTH, dtype=torch.int64)], dim=1)
    with torch.inference_mode():
        wrapper(input_ids=padded, attention_mask=mask)
    cache = wrapper._recorder.cache
    assert cache._clock == 4 * LENGTH
    pairs = {a * VOCAB + b for row in token_ids(4, seed=1).tolist() for a, b in pairwise(row)}
    assert set(cache._entries) <= pairs - set(table.context_keys.tolist())


def test_a_plan_of_padding_alone_leaves_the_cache_alone(table):
    cache = OnlineCache(3, 10)
    plan = replace(table.plan(token_ids(1)), routes=torch.full((LAYERS, LENGTH), PADDING, dtype=torch.uint8))
    keys = torch.full((LENGTH,), -1)
    cache.decide(plan, keys)
    positions = cache.new_contexts(plan, keys)
    assert len(positions) == 0
