"""The weight of the second expert: as the router's softmax gives it, whatever the batches."""

import pytest
import torch

from tinyguardrail_common.errors import UserError
from var_model import LAYERS, tiny_model, token_ids
from var_moe.evaluation.quality import second_weights


def expected(model, sequences):
    """From the router's logits, by another way than the router's own."""
    with torch.inference_mode():
        logits = model(input_ids=sequences, output_router_logits=True).router_logits
    found = []
    for layer in logits:
        first, second = layer.softmax(-1).sort(descending=True).values[:, :2].T
        found.append(float((second / (first + second)).mean()))
    return found


def test_it_is_the_mean_over_calls_of_each_layer():
    model, sequences = tiny_model(), token_ids(10, seed=4)
    found = second_weights(model, sequences, batch_size=4)
    assert found == pytest.approx(expected(model, sequences), abs=1e-5)
    assert len(found) == LAYERS
    assert second_weights(model, sequences, batch_size=10) == pytest.approx(found, abs=1e-6)


def test_a_router_that_has_given_its_second_expert_up_shows():
    model = tiny_model()
    with torch.no_grad():
        model.model.layers[1].mlp.gate.weight.mul_(1000)
    found = second_weights(model, token_ids(10, seed=4), batch_size=5)
    assert found[1] < 0.05 < min(found[0], found[2])


def test_hooks_are_gone_afterwards_and_bad_input_is_an_error():
    model = tiny_model()
    with pytest.raises(UserError, match="65 tokens exceed the model's 64 positions"):
        second_weights(model, torch.zeros(1, 65, dtype=torch.long), batch_size=1)
    second_weights(model, token_ids(2), batch_size=2)
    assert not any(layer.mlp.gate._forward_hooks for layer in model.model.layers)
