"""The graphs that users run send the wanted share of validation texts deep."""

import shutil

import numpy as np
import pytest

from tinyguardrail.export.export import set_router_scales
from tinyguardrail.runtime.guard import Guard

TEXTS = [
    f"{start} {end}" for start in ("say", "what", "hello", "cat") for end in ("", "what", "say hello", "z")
]


@pytest.mark.parametrize("precision", ["fp32", "int8"])
@pytest.mark.parametrize("share", [0.25, 0.5])
def test_the_share_of_deep_texts_is_that_asked_for(exported, tiny_guard, tmp_path, precision, share):
    folder = tmp_path / "onnx"
    shutil.copytree(exported, folder)
    before = Guard.load(folder, precision, 1).score_branches(TEXTS)
    set_router_scales(folder, tiny_guard, folder / "int8.safetensors", 18, TEXTS, share, 1)
    guard = Guard.load(folder, precision, 1)
    after = guard.score_branches(TEXTS)
    assert guard.score(TEXTS, router_threshold=0.5).deep.mean() == pytest.approx(share, abs=1 / len(TEXTS))
    np.testing.assert_array_equal(np.argsort(after.router_score), np.argsort(before.router_score))
    np.testing.assert_allclose(after.fast, before.fast, atol=1e-6)
    np.testing.assert_allclose(after.deep, before.deep, atol=1e-6)
    logits = np.log(after.router_score / (1 - after.router_score))
    assert logits.std() == pytest.approx(1, rel=1e-3), "one unit is one standard deviation"
