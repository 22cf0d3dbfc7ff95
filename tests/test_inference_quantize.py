"""Rounded weights and products are off by no more than their scales, and so are verdicts."""

from types import SimpleNamespace

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from tinyguardrail.export.agreement import compare_precisions
from tinyguardrail.export.graph_builder import GraphBuilder
from tinyguardrail.export.guard_graph import GELU_MINIMUM
from tinyguardrail.export.integer_matmul import integer_matmul
from tinyguardrail.quantization.quantize import (
    SCALE_SUFFIX,
    dequantize_matrix,
    quantize_matrix,
    quantize_weights,
    size_table,
)


@settings(deadline=None)
@given(
    arrays.arrays(
        np.float32, st.tuples(st.integers(1, 6), st.integers(1, 9)), elements=st.floats(-100, 100, width=32)
    ),
    st.integers(1, 9),
)
def test_rounding_is_off_by_half_a_scale_at_most(weight, block_size):
    levels, scale = quantize_matrix(weight, block_size)
    width = weight.shape[1] // scale.shape[1]
    assert scale.shape[1] * width == weight.shape[1]
    assert width <= block_size
    assert np.abs(levels.astype(int)).max() <= 127
    error = np.abs(dequantize_matrix(levels, scale) - weight)
    assert (error <= np.repeat(scale, width, axis=1) * 0.5001 + 1e-6).all()


def test_a_wide_weight_coarsens_its_own_block_only():
    weight = np.array([[127.0, 0.3, 0.127, 0.064]], dtype=np.float32)
    levels, scale = quantize_matrix(weight, block_size=2)
    np.testing.assert_allclose(scale, [[1.0, 0.001]], rtol=1e-6)
    np.testing.assert_array_equal(levels, [[127, 0, 127, 64]])


def test_quantizing_keeps_vectors_and_what_decides_and_refuses_nan():
    matrix, vector = np.eye(4, dtype=np.float32), np.ones(4, dtype=np.float32)
    kept = (
        "router.hidden.weight",
        "deep.layers.0.mixture.gate.weight",
        "fast.classifier.dense.weight",
        "a.bias",
    )
    rounded = {"a.weight": (4, 2), "embeddings.gate.weight": (4, 2), "embeddings.words.weight": (4, 1)}
    weights = {name: vector if name == "a.bias" else matrix for name in (*kept, *rounded)}
    quantized = quantize_weights(weights, block_size=2)
    for name in kept:
        np.testing.assert_array_equal(quantized[name], weights[name])
    for name, shape in rounded.items():
        assert quantized[name].dtype == np.int8
        assert quantized[name + SCALE_SUFFIX].shape == shape
    assert len(quantized) == len(kept) + 2 * len(rounded)
    weights["a.weight"] = matrix * np.nan
    with pytest.raises(ValueError, match=r"a\.weight holds values that are not finite"):
        quantize_weights(weights, block_size=2)


def test_the_size_table_counts_bytes():
    weights = {
        "a.weight": np.array([[127.0, 0.4], [0.0, 0.0]], dtype=np.float32),
        "a.bias": np.ones(2, dtype=np.float32),
    }
    sizes = size_table(weights, quantize_weights(weights, block_size=2))
    assert sizes["parameters"] == 6
    assert sizes["fp32_mb"] == pytest.approx(6 * 4 / 1e6)
    assert sizes["int8_mb"] == pytest.approx((4 * 1 + 2 * 4 + 2 * 4) / 1e6)  # levels, scales, bias
    assert sizes["largest_weight_error"] == pytest.approx(0.4)  # a step of one rounds it to zero


@pytest.mark.parametrize("one_sided", [False, True])
@pytest.mark.parametrize("block_size", [4, 12])
def test_an_integer_product_is_that_of_the_rounded_sides(one_sided, block_size):
    rng = np.random.default_rng(0)
    x, weight = rng.normal(size=(2, 3, 12)), rng.normal(size=(5, 12)).astype(np.float32)
    x = np.where(rng.random(x.shape) < 0.1, 40 * x, x).astype(np.float32)
    x[1, 2] = 0
    x = np.abs(x) if one_sided else x
    levels, scale = quantize_matrix(weight, block_size)
    blocks = x.reshape(2, 3, -1, block_size).astype(np.float64)
    step = np.maximum(np.abs(blocks).max(-1, keepdims=True), 1e-30) / (255 if one_sided else 127)
    expected = (np.rint(blocks / step) * step).reshape(x.shape) @ dequantize_matrix(levels, scale).T
    np.testing.assert_allclose(run_integer_matmul(x, levels, scale, one_sided), expected, atol=1e-3)
    assert np.abs(expected - x @ weight.T).max() > 0.01  # rounding is not nothing


def run_integer_matmul(x, levels, scale, one_sided):
    graph = GraphBuilder("product")
    result = integer_matmul(graph, "x", levels, scale, one_sided)
    graph.nodes.append(onnx.helper.make_node("Identity", [result], ["y"]))
    inputs, outputs = (
        [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["b", "t", size])]
        for name, size in (("x", levels.shape[1]), ("y", len(levels)))
    )
    model = graph.model(inputs, outputs, 18)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"x": x})[0]


def test_no_gelu_is_below_the_minimum_that_the_graph_assumes():
    x = torch.linspace(-10, 10, 200_001, dtype=torch.float64)
    lowest = float(torch.nn.functional.gelu(x).min())
    assert GELU_MINIMUM < lowest < GELU_MINIMUM + 0.001


def test_the_agreement_of_two_precisions_is_counted_in_intents_and_in_verdicts():
    intents = ("benign", "jailbreak")

    def guard(*threats):
        table = {f"t{index}": [1 - threat, threat] for index, threat in enumerate(threats)}
        table |= {f"benign {index}": [1 - index / 100, index / 100] for index in range(20)}
        return SimpleNamespace(
            intents=intents,
            score=lambda texts: SimpleNamespace(probabilities=np.array([table[t] for t in texts])),
        )

    def row(text, intent):
        label = intent if intent == "benign" else "obfuscation"  # what hides a threat is not asked for
        return SimpleNamespace(text=text, label=label, intent=intent)

    validation = [row(f"benign {index}", "benign") for index in range(20)] + [row("t0", "jailbreak")]
    test = [row(f"t{index}", intent) for index, intent in enumerate(("benign", "benign", *["jailbreak"] * 2))]
    found = compare_precisions(guard(0.1, 0.1, 0.4, 0.9), guard(0.1, 0.3, 0.6, 0.9), validation, test, 0.05)
    assert found["rows"] == 4
    assert found["blocking_threshold"] == pytest.approx(0.19)  # the highest of twenty benign scores
    assert found["verdict_agreement"] == 3 / 4  # t1
    assert found["intent_agreement"] == 3 / 4  # t2
    assert found["macro_f1_fp32"] == pytest.approx((4 / 5 + 2 / 3) / 2)  # one jailbreak of two is missed
    assert found["macro_f1_int8"] == 1.0
