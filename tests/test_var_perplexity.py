"""Perplexity by strided windows equals a plain computation token by token."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tinyguardrail_common.errors import UserError
from var_model import VOCAB, tiny_model
from var_moe.evaluation.perplexity import perplexity, token_nll, window_spans


@given(length=st.integers(2, 200), window=st.integers(2, 40), data=st.data())
def test_every_token_is_scored_once_with_context_enough(length, window, data):
    stride = data.draw(st.integers(1, window - 1))
    scored = []
    for start, first in window_spans(length, window, stride):
        end = min(length, start + window)
        assert 0 <= start < first < end
        assert first < window or first - start >= window - stride
        scored += range(first, end)
    assert scored == list(range(1, length))


@pytest.mark.parametrize(("length", "window", "stride"), [(31, 8, 3), (8, 8, 4), (5, 8, 4), (24, 8, 7)])
def test_windows_equal_a_plain_per_token_computation(length, window, stride):
    model = tiny_model()
    ids = torch.randint(VOCAB, (length,), generator=torch.Generator().manual_seed(1))
    found = token_nll(model, ids, window=window, stride=stride, batch_size=3, label="")

    expected = []  # one forward pass a token, over exactly the context that its window gives
    for token in range(1, length):
        if token < window:
            start = 0
        else:  # the first window in steps of `stride` that reaches the token, moved back at the end
            start = next(s for s in range(0, length, stride) if s + window > token)
            start = min(start, length - window)
        with torch.inference_mode():
            logits = model(input_ids=ids[start:token][None]).logits[0, -1].double()
        expected.append(-(logits[ids[token]] - torch.logsumexp(logits, 0)).item())
    np.testing.assert_allclose(found, expected, rtol=1e-4)
    assert perplexity(found, length - 1) == pytest.approx(math.exp(sum(expected) / (length - 1)), rel=1e-4)


def test_the_batch_size_changes_nothing():
    model = tiny_model()
    ids = torch.randint(VOCAB, (60,), generator=torch.Generator().manual_seed(2))
    first, second = (token_nll(model, ids, window=10, stride=4, batch_size=size, label="") for size in (1, 7))
    np.testing.assert_allclose(first, second, rtol=1e-5)


def test_a_text_of_one_token_is_an_error():
    with pytest.raises(UserError, match="none to predict"):
        window_spans(1, 8, 4)
