"""The exported graph computes what torch computes, only what is routed, and survives bad files."""

import json

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from conftest import make_guard
from guard_texts import TEXTS
from tinyguardrail.export.export import ParityError, check_parity
from tinyguardrail.runtime.guard import Guard, RuntimeFileError
from tinyguardrail.runtime.spellings import distinct_spellings
from tinyguardrail_common.errors import UserError


def test_fp32_equals_torch_on_both_branches_in_any_batch(exported, tiny_guard, tiny_tokenizer):
    report = check_parity(exported, tiny_guard, tiny_tokenizer, TEXTS, 1e-3, 1)
    assert report["fp32"]["intent_agreement"] == 1.0
    assert report["int8"]["intent_agreement"] >= 0.5
    assert report["int8"]["size_mb"] < report["fp32"]["size_mb"]


def test_a_graph_of_other_weights_fails_parity(exported, tiny_tokenizer):
    other = make_guard(tiny_tokenizer, num_experts=4)
    other.fast.classifier.output.bias.data += 0.1
    with pytest.raises(ParityError, match=r"differ from torch by 0\.1"):
        check_parity(exported, other, tiny_tokenizer, TEXTS, 1e-3, 1)


def test_the_threshold_is_an_input_with_a_default(exported):
    model = onnx.load(exported / "guard.fp32.onnx")
    assert "router_threshold" in {value.name for value in model.graph.input}
    guard = Guard.load(exported, "fp32")
    feed = guard.feed(guard.extractor.windows(TEXTS), [0.5])
    texts_only = {name: value for name, value in feed.items() if name != "router_threshold"}
    assert len(feed) == len(texts_only) + 1
    for left, right in zip(guard.session.run(None, texts_only), guard.session.run(None, feed), strict=True):
        np.testing.assert_array_equal(left, right)


def test_the_deep_branch_and_its_experts_stand_inside_conditions(exported):
    """They are only computed where a text is routed to them."""
    graph = onnx.load(exported / "guard.fp32.onnx").graph
    (branch,) = [node for node in graph.node if node.op_type == "If"]
    inner = [node for attribute in branch.attribute for node in attribute.g.node]
    assert sum(node.op_type == "If" for node in inner) == 2 * 4  # deep layers x experts
    config = json.loads((exported / "config.json").read_text())
    size = config["hidden_size"] * config["intermediate_size"]
    outside = [each for each in graph.initializer if np.prod(each.dims) == size]
    assert len(outside) == 2 * config["fast_layers"]  # of the fast branch alone


def nodes_of(graph):
    """All nodes of a graph and of the graphs inside it."""
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.GRAPH:
                yield from nodes_of(attribute.g)


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_no_scatter_adds_up_where_threads_would_race(exported, precision):
    """ONNX Runtime's scatters are parallel over indices: two outputs for one text would be lost updates."""
    graph = onnx.load(exported / f"guard.{precision}.onnx").graph
    scatters = [node for node in nodes_of(graph) if node.op_type.startswith("Scatter")]
    assert scatters
    assert not [node.name for node in scatters if any(each.name == "reduction" for each in node.attribute)]


@settings(deadline=None)
@given(
    arrays.arrays(
        np.int64,
        st.tuples(st.integers(1, 3), st.integers(1, 4), st.integers(1, 5)),
        elements=st.integers(0, 2),
    )
)
def test_spellings_give_back_the_characters_of_every_token(char_ids):
    spellings, places = distinct_spellings(char_ids)
    width = spellings.shape[1]
    np.testing.assert_array_equal(spellings[places], char_ids[:, :, :width])
    assert not char_ids[:, :, width:].any()
    assert len(spellings) == len({tuple(row) for row in char_ids.reshape(-1, char_ids.shape[2])})
    assert width == char_ids.shape[2] or not spellings[:, -1].any()  # one place without a character stays


def test_a_missing_or_damaged_export_is_named(tmp_path, exported):
    with pytest.raises(RuntimeFileError, match=r"guard\.int8\.onnx: not found"):
        Guard.load(tmp_path)
    for name in ("config.json", "tokenizer.json", "character_lm.npz"):
        (tmp_path / name).write_bytes((exported / name).read_bytes())
    (tmp_path / "guard.int8.onnx").write_bytes((exported / "guard.int8.onnx").read_bytes()[:500])
    with pytest.raises(RuntimeFileError, match=r"guard\.int8\.onnx: cannot be opened"):
        Guard.load(tmp_path)


def test_a_damaged_language_model_is_named(tmp_path, exported):
    for path in exported.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "character_lm.npz").write_bytes(b"not a model")
    with pytest.raises(UserError, match=r"character_lm\.npz"):
        Guard.load(tmp_path)


def test_the_configuration_travels_with_the_graph(exported, tiny_guard):
    config = json.loads((exported / "config.json").read_text())
    assert config["max_position_embeddings"] == tiny_guard.config.max_position_embeddings
    assert list(config["id2label"].values()) == list(Guard.load(exported).intents)
