"""The guard as one ONNX graph, with both decisions inside it.

Written operator by operator rather than traced: the deep branch and each expert stand in
an `If`, so that what a text is not routed to is not computed, and the INT8 weights are
exactly those of the `quantize` stage. Parity with torch is asserted by `export`.

Inputs: input_ids, attention_mask (B, T) int64; char_ids (B, T, C) int64; router_threshold,
a scalar with a default. Outputs: logits (B, labels), router_score (B,), deep (B,) bool.
"""

from __future__ import annotations

import numpy as np
from onnx import ModelProto, TensorProto, helper

from tinyguardrail.inference.graph_builder import MICROSOFT, GraphBuilder
from tinyguardrail.inference.quantize import SCALE_SUFFIX, Arrays

HIDDEN_SHAPE: list[int | str] = ["rows", "tokens", "width"]
MASKED = -10000.0


def build_guard_graph(weights: Arrays, config: dict, opset: int) -> ModelProto:
    """Assemble the graph.

    Args:
        weights: tensors by their name in `GuardForSequenceClassification`, either all fp32 or
            as `quantize_weights` returns them; which, decides the operators.
        config: the fields of `GuardConfig`.
        opset: of the default ONNX operator set.
    """
    graph = GraphBuilder("tinyguardrail")
    guard = _GuardGraph(weights, config)
    graph.constant(np.float32(config["router_threshold"]), name="router_threshold")
    hidden = guard.trunk(graph, guard.embeddings(graph))
    score = graph.op("Sigmoid", guard.router(graph, hidden))
    deep = graph.op("GreaterOrEqual", score, "router_threshold")
    logits = [
        guard.routed(graph, hidden, rows, side)
        for rows, side in ((graph.op("Not", deep), guard.fast_branch), (deep, guard.deep_branch))
    ]
    for result, name in ((graph.op("Add", *logits), "logits"), (score, "router_score"), (deep, "deep")):
        graph.nodes.append(helper.make_node("Identity", [result], [name]))
    integers, labels = TensorProto.INT64, len(config["id2label"])
    inputs = [
        helper.make_tensor_value_info("input_ids", integers, ["batch", "tokens"]),
        helper.make_tensor_value_info("attention_mask", integers, ["batch", "tokens"]),
        helper.make_tensor_value_info("char_ids", integers, ["batch", "tokens", config["chars_per_token"]]),
        helper.make_tensor_value_info("router_threshold", TensorProto.FLOAT, []),
    ]
    outputs = [
        helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", labels]),
        helper.make_tensor_value_info("router_score", TensorProto.FLOAT, ["batch"]),
        helper.make_tensor_value_info("deep", TensorProto.BOOL, ["batch"]),
    ]
    return graph.model(inputs, outputs, opset)


class _GuardGraph:
    """Each method mirrors the torch module of the same name and returns its output's name."""

    def __init__(self, weights: Arrays, config: dict):
        self.weights = weights
        self.config = config

    # ---- modules ---------------------------------------------------------------------

    def embeddings(self, g: GraphBuilder) -> str:
        words = self._table(g, "embeddings.words.weight", "input_ids")  # (B, T, D)
        characters = self._characters(g)
        gate = g.op("Concat", words, characters, axis=-1)
        gate = g.op("Sigmoid", self._linear(g, gate, "embeddings.gate"))
        length = g.op("Slice", g.op("Shape", "input_ids"), *(g.constant([n], np.int64) for n in (1, 2)))
        steps = g.op("Range", g.constant(0, np.int64), g.op("Squeeze", length), g.constant(1, np.int64))
        positions = self._table(g, "embeddings.positions.weight", steps)  # (T, D)
        total = g.op("Add", g.op("Add", words, positions), g.op("Mul", gate, characters))
        return self._norm(g, total, "embeddings.norm")

    def _characters(self, g: GraphBuilder) -> str:
        width = self.config["chars_per_token"]
        rows = g.op("Reshape", "char_ids", g.constant([-1, width], np.int64))  # (N, C)
        rows = self._table(g, "embeddings.characters.table.weight", rows)
        rows = g.op("Transpose", rows, perm=[0, 2, 1])  # (N, E, C)
        pooled = []
        for index, kernel in enumerate(self.config["char_kernel_sizes"]):
            name = f"embeddings.characters.convolutions.{index}"
            convolved = g.op(
                "Conv",
                rows,
                g.constant(self.weights[f"{name}.weight"]),
                g.constant(self.weights[f"{name}.bias"]),
                pads=[0, kernel - 1],
                kernel_shape=[kernel],
            )
            convolved = g.op("Relu", convolved)
            pooled.append(g.op("ReduceMax", convolved, g.constant([-1], np.int64), keepdims=0))
        joined = g.op("Concat", *pooled, axis=-1)
        vectors = self._linear(g, joined, "embeddings.characters.project")  # (N, D)
        shape = g.op("Concat", g.op("Shape", "input_ids"), g.constant([self.width], np.int64), axis=0)
        return g.op("Reshape", vectors, shape)

    def trunk(self, g: GraphBuilder, hidden: str) -> str:
        bias = self._attention_bias(g, self._float_mask(g, "attention_mask"))
        return self._layers(g, hidden, bias, "trunk", self.config["shared_layers"])

    def router(self, g: GraphBuilder, hidden: str) -> str:
        mask = self._float_mask(g, "attention_mask")
        hole = g.op("Mul", self._inverted(g, mask), g.constant(np.float32(MASKED)))
        highest = g.op("Add", hidden, g.op("Unsqueeze", hole, g.constant([-1], np.int64)))
        highest = g.op("ReduceMax", highest, g.constant([1], np.int64), keepdims=0)
        pooled = g.op("Concat", self._mean(g, hidden, mask), highest, axis=-1)
        pooled = self._norm(g, pooled, "router.norm", epsilon=1e-5)
        features = self._gelu(g, self._linear(g, pooled, "router.hidden"))
        logit = g.op("Squeeze", self._linear(g, features, "router.output"), g.constant([-1], np.int64))
        centred = g.op("Sub", logit, g.constant(self.weights["router.offset"]))
        return g.op("Div", centred, g.constant(self.weights["router.scale"]))

    def fast_branch(self, g: GraphBuilder, hidden: str, mask: str) -> str:
        bias = self._attention_bias(g, mask)
        hidden = self._layers(g, hidden, bias, "fast", self.config["fast_layers"])
        return self._classifier(g, hidden, mask, "fast.classifier")

    def deep_branch(self, g: GraphBuilder, hidden: str, mask: str) -> str:
        bias = self._attention_bias(g, mask)
        for index in range(self.config["deep_layers"]):
            name = f"deep.layers.{index}"
            hidden = self._attention(g, hidden, bias, f"{name}.attention")
            mixed = self._mixture(g, hidden, mask, f"{name}.mixture")
            hidden = self._norm(g, g.op("Add", hidden, mixed), f"{name}.norm")
        return self._classifier(g, hidden, mask, "deep.classifier")

    def routed(self, g: GraphBuilder, hidden: str, rows: str, side) -> str:
        """Logits of `side` in the rows where the boolean `rows` holds, zeros in the others."""
        labels = len(self.config["id2label"])
        batch = g.op("Shape", rows)
        shape = g.op("Concat", batch, g.constant([labels], np.int64), axis=0)
        zeros = g.op("Expand", g.constant(np.float32(0)), shape)

        def compute(inner: GraphBuilder) -> str:
            indices = inner.op("NonZero", rows)  # (1, n)
            flat = inner.op("Squeeze", indices, inner.constant([0], np.int64))
            mask = self._float_mask(inner, inner.op("Gather", "attention_mask", flat, axis=0))
            logits = side(inner, inner.op("Gather", hidden, flat, axis=0), mask)
            return inner.op("ScatterND", zeros, inner.op("Transpose", indices, perm=[1, 0]), logits)

        return g.branch(
            self._any(g, rows), compute, lambda inner: zeros, TensorProto.FLOAT, ["batch", labels]
        )

    # ---- parts -----------------------------------------------------------------------

    @property
    def width(self) -> int:
        return self.config["hidden_size"]

    def _layers(self, g: GraphBuilder, hidden: str, bias: str, part: str, count: int) -> str:
        for index in range(count):
            name = f"{part}.layers.{index}"
            hidden = self._attention(g, hidden, bias, f"{name}.attention")
            mixed = self._feed_forward(g, hidden, f"{name}.feed_forward")
            hidden = self._norm(g, g.op("Add", hidden, mixed), f"{name}.norm")
        return hidden

    def _attention(self, g: GraphBuilder, hidden: str, bias: str, name: str) -> str:
        heads = self.config["num_attention_heads"]
        size = self.width // heads
        projected = self._linear(g, hidden, f"{name}.qkv")
        projected = g.op("Reshape", projected, g.constant([0, 0, 3, heads, size], np.int64))
        parts = g.ops("Split", 3, g.op("Transpose", projected, perm=[2, 0, 3, 1, 4]), axis=0, num_outputs=3)
        query, key, value = (g.op("Squeeze", part, g.constant([0], np.int64)) for part in parts)
        query = g.op("Mul", query, g.constant(np.float32(size**-0.5)))
        scores = g.op("MatMul", query, g.op("Transpose", key, perm=[0, 1, 3, 2]))  # (B, H, T, T)
        mixed = g.op("MatMul", g.op("Softmax", g.op("Add", scores, bias), axis=-1), value)
        mixed = g.op("Transpose", mixed, perm=[0, 2, 1, 3])
        mixed = g.op("Reshape", mixed, g.constant([0, 0, self.width], np.int64))
        mixed = self._linear(g, mixed, f"{name}.output")
        return self._norm(g, g.op("Add", hidden, mixed), f"{name}.norm")

    def _feed_forward(self, g: GraphBuilder, hidden: str, name: str) -> str:
        return self._linear(g, self._gelu(g, self._linear(g, hidden, f"{name}.up")), f"{name}.down")

    def _mixture(self, g: GraphBuilder, hidden: str, mask: str, name: str) -> str:
        gate = self._linear(g, self._mean(g, hidden, mask), f"{name}.gate")
        weights, chosen = g.ops(
            "TopK",
            2,
            g.op("Softmax", gate, axis=-1),
            g.constant([self.config["num_experts_per_text"]], np.int64),
            axis=-1,
        )
        total = g.op("ReduceSum", weights, g.constant([-1], np.int64), keepdims=1)
        weights = g.op("Div", weights, total)  # (B, num_experts_per_text)
        mixed = g.op("Mul", hidden, g.constant(np.float32(0)))
        for index in range(self.config["num_experts"]):
            mixed = self._expert(g, hidden, mixed, weights, chosen, index, name)
        return mixed

    def _expert(
        self, g: GraphBuilder, hidden: str, mixed: str, weights: str, chosen: str, index: int, name: str
    ) -> str:
        """Add one expert's share to the texts that chose it; not computed when none did."""
        hits = g.op("Equal", chosen, g.constant(index, np.int64))  # (B, num_experts_per_text)

        def compute(inner: GraphBuilder) -> str:
            last = inner.constant([-1], np.int64)
            share = inner.op("Mul", weights, inner.op("Cast", hits, to=TensorProto.FLOAT))
            share = inner.op("ReduceSum", share, last, keepdims=0)  # (B,)
            indices = inner.op("NonZero", share)
            flat = inner.op("Squeeze", indices, inner.constant([0], np.int64))
            share = inner.op("Gather", share, flat, axis=0)
            share = inner.op("Unsqueeze", share, inner.constant([1, 2], np.int64))
            output = inner.op("Gather", hidden, flat, axis=0)
            output = inner.op("Mul", self._feed_forward(inner, output, f"{name}.experts.{index}"), share)
            rows = inner.op("Transpose", indices, perm=[1, 0])
            return inner.op("ScatterND", mixed, rows, output, reduction="add")

        return g.branch(self._any(g, hits), compute, lambda inner: mixed, TensorProto.FLOAT, HIDDEN_SHAPE)

    def _classifier(self, g: GraphBuilder, hidden: str, mask: str, name: str) -> str:
        pooled = g.op("Tanh", self._linear(g, self._mean(g, hidden, mask), f"{name}.dense"))
        return self._linear(g, pooled, f"{name}.output")

    # ---- operators --------------------------------------------------------------------

    def _linear(self, g: GraphBuilder, hidden: str, name: str) -> str:
        weight = self.weights[f"{name}.weight"].T
        bias = self.weights.get(f"{name}.bias")
        scale = self.weights.get(f"{name}.weight{SCALE_SUFFIX}")
        if scale is None:
            product = g.op("MatMul", hidden, g.constant(weight))
            return product if bias is None else g.op("Add", product, g.constant(bias))
        inputs = [hidden, g.constant(weight), g.constant(scale), g.constant(np.zeros(len(scale), np.int8))]
        inputs += [] if bias is None else [g.constant(bias)]
        return g.op("DynamicQuantizeMatMul", *inputs, domain=MICROSOFT)

    def _table(self, g: GraphBuilder, name: str, indices: str) -> str:
        rows = g.op("Gather", g.constant(self.weights[name]), indices, axis=0)
        scale = self.weights.get(name + SCALE_SUFFIX)
        if scale is None:
            return rows
        scales = g.op("Gather", g.constant(scale[:, None]), indices, axis=0)
        return g.op("Mul", g.op("Cast", rows, to=TensorProto.FLOAT), scales)

    def _norm(self, g: GraphBuilder, hidden: str, name: str, epsilon: float | None = None) -> str:
        weight, bias = (g.constant(self.weights[f"{name}.{part}"]) for part in ("weight", "bias"))
        epsilon = self.config["layer_norm_eps"] if epsilon is None else epsilon
        return g.op("LayerNormalization", hidden, weight, bias, axis=-1, epsilon=epsilon)

    def _gelu(self, g: GraphBuilder, hidden: str) -> str:
        return g.op("Gelu", hidden, domain=MICROSOFT)

    def _mean(self, g: GraphBuilder, hidden: str, mask: str) -> str:
        tokens = g.constant([1], np.int64)
        weights = g.op("Unsqueeze", mask, g.constant([-1], np.int64))
        total = g.op("ReduceSum", g.op("Mul", hidden, weights), tokens, keepdims=0)
        return g.op("Div", total, g.op("ReduceSum", weights, tokens, keepdims=0))

    def _attention_bias(self, g: GraphBuilder, mask: str) -> str:
        hole = g.op("Mul", self._inverted(g, mask), g.constant(np.float32(MASKED)))
        return g.op("Unsqueeze", hole, g.constant([1, 2], np.int64))

    def _float_mask(self, g: GraphBuilder, mask: str) -> str:
        return g.op("Cast", mask, to=TensorProto.FLOAT)

    def _inverted(self, g: GraphBuilder, mask: str) -> str:
        return g.op("Sub", g.constant(np.float32(1)), mask)

    def _any(self, g: GraphBuilder, flags: str) -> str:
        return g.op(
            "Cast",
            g.op("ReduceMax", g.op("Cast", flags, to=TensorProto.INT32), keepdims=0),
            to=TensorProto.BOOL,
        )
