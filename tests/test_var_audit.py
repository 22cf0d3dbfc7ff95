"""The audit: what it counts, and whether its interval covers the truth."""

import json

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from var_model import LAYERS, LENGTH, chained, tiny_model, tiny_table, token_ids
from var_moe.routing.audit import clopper_pearson, sample_calls
from var_moe.routing.table import LEARNED
from var_moe.routing.verification import verify
from var_moe.routing.wrapper import VARMixtralWrapper


@given(st.integers(1, 3000), st.floats(0, 1), st.sampled_from([0.9, 0.95, 0.99]))
def test_interval_is_scipys_exact_one(trials, share, level):
    successes = round(share * trials)
    expected = binomtest(successes, trials).proportion_ci(level, method="exact")
    assert clopper_pearson(successes, trials, level) == pytest.approx((expected.low, expected.high), abs=1e-9)


def test_without_a_sample_nothing_is_known():
    assert clopper_pearson(0, 0) == (0.0, 1.0)


@pytest.mark.parametrize("agreement", [0.5, 0.9, 0.99])
def test_interval_covers_the_share_of_all_calls_however_alike_they_are(agreement):
    """1,000 samples of 2% of one run, in which whole texts agree or disagree together."""
    rng = np.random.default_rng(0)
    layers, texts, length = 4, 300, 512
    by_text = rng.random(texts) < agreement
    noise = rng.random((layers, texts * length)) < 0.02
    agrees = torch.from_numpy(np.repeat(by_text, length)[None] ^ noise)  # (L, T)
    truth = agrees.float().mean().item()
    covered, widths = 0, []
    for draw in range(1000):
        sample = sample_calls(draw.to_bytes(4, "big"), 0, agrees.shape, 0.02)
        low, high = clopper_pearson(int(agrees[sample].sum()), int(sample.sum()))
        covered += low <= truth <= high
        widths.append(high - low)
    assert covered >= 930
    assert max(widths) <= 0.02


def test_the_sample_follows_from_key_and_pass_alone():
    first = sample_calls(b"key", 3, (4, 5000), 0.02)
    assert torch.equal(first, sample_calls(b"key", 3, (4, 5000), 0.02))
    assert not torch.equal(first, sample_calls(b"key", 4, (4, 5000), 0.02))
    assert not torch.equal(first, sample_calls(b"kez", 3, (4, 5000), 0.02))
    assert first.float().mean().item() == pytest.approx(0.02, abs=0.005)
    assert sample_calls(b"key", 3, (4, 5000), 1.0).all()


def test_audit_compares_with_the_stock_router_on_the_same_hidden_states(tmp_path):
    """At a rate of 1, against the router's own matrix product on what reached the layer."""
    model = tiny_model()
    table = tiny_table(model)
    ids, hidden = token_ids(6, seed=5), {}
    path = tmp_path / "routing.log"
    with VARMixtralWrapper(model, table, audit_rate=1.0, log_path=path) as wrapper, torch.inference_mode():
        plain = wrapper(input_ids=ids).logits
        wrapper.reset_performance_stats()
        for index, layer in enumerate(model.model.layers):
            layer.mlp.gate.register_forward_pre_hook(
                lambda _, args, index=index: hidden.__setitem__(index, args[0].reshape(-1, 16))
            )
        wrapper(input_ids=ids)
        result = wrapper.audit_result()
    plan = table.plan(ids)
    sampled = agreed = 0
    for index, layer in enumerate(model.model.layers):
        decided = plan.routes[index] != LEARNED
        first = (hidden[index] @ layer.mlp.gate.weight.detach().T).argmax(-1)
        sampled += int(decided.sum())
        agreed += int((first == plan.experts[index, :, 0])[decided].sum())
    assert (result["sampled"], result["agreed"]) == (sampled, agreed)
    assert 0 < agreed < sampled
    assert result["agreement"] == agreed / sampled
    low, high = result["interval"]
    assert low < agreed / sampled < high
    found = verify(path, table)
    assert (found.audited_calls, found.agreed_calls) == (2 * sampled, 2 * agreed)
    unaudited = VARMixtralWrapper(tiny_model(), table)
    with torch.inference_mode():
        assert torch.equal(unaudited(input_ids=ids).logits, plain)


def test_a_rate_is_met_over_many_passes_and_padding_is_never_audited():
    model = tiny_model()
    with VARMixtralWrapper(model, tiny_table(model), audit_rate=0.2, audit_key=b"key") as wrapper:
        mask = torch.ones(20, LENGTH, dtype=torch.int64)
        mask[:, :6] = 0
        with torch.inference_mode():
            for seed in range(5):
                wrapper(input_ids=token_ids(20, seed=seed), attention_mask=mask)
        stats, result = wrapper.get_performance_stats(), wrapper.audit_result()
    decided = (1 - stats["learned_share"]) * stats["tokens"] * LAYERS
    assert result["sampled"] / decided == pytest.approx(0.2, abs=0.04)


def test_no_audit_and_no_rate_beyond_one():
    model = tiny_model()
    with pytest.raises(ValueError, match=r"audit_rate 1\.5"):
        VARMixtralWrapper(model, tiny_table(model), audit_rate=1.5)
    with pytest.raises(ValueError, match="no call is audited"):
        VARMixtralWrapper(model, tiny_table(model)).audit_result()


def test_a_revealed_key_shows_whether_the_log_audited_what_it_had_to(tmp_path):
    model = tiny_model()
    table, path = tiny_table(model), tmp_path / "routing.log"
    with VARMixtralWrapper(model, table, audit_rate=0.3, log_path=path) as wrapper, torch.inference_mode():
        wrapper(input_ids=token_ids(4, seed=1))
        wrapper.reset()
        broken = model.model.norm.register_forward_pre_hook(lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            wrapper(input_ids=token_ids(4, seed=2))
        broken.remove()
        wrapper(input_ids=token_ids(4, seed=3))
        key = wrapper.audit_key
    assert verify(path, table, audit_key=key).audited_calls > 0
    with pytest.raises(ValueError, match="record 0: the log was not audited with this key"):
        verify(path, table, audit_key=b"another")

    lines = path.read_bytes().splitlines(keepends=True)
    body = json.loads(lines[1][65:])
    body["audit"] = [body["audit"][0] - 1, 0]
    lines[1] = b"0" * 64 + b" " + json.dumps(body).encode() + b"\n"
    path.write_bytes(b"".join(chained(lines)))
    with pytest.raises(ValueError, match="record 1: it audited"):
        verify(path, table, audit_key=key)
