"""The guard as one ONNX graph, with both decisions inside it.

Written operator by operator rather than traced: the deep branch and each of its experts stand in
an `If`, so that what a text is not routed to is not computed, and the INT8 weights are
exactly those of the `quantize` stage. Parity with torch is asserted by `export`.

Inputs: input_ids, attention_mask, spelling_ids (B, T) int64, the last into the rows of
spellings (S, C) int64, the distinct spellings of the batch's tokens; and with a default
router_threshold, (B,) or (1,).
Outputs: logits (B, intents) of the chosen branch, router_score (B,), deep (B,) bool, fast_logits
(B, intents), and deep_logits (B, intents), zeros where the deep branch was not computed.
"""

import numpy as np
from onnx import ModelProto, TensorProto, helper

from tinyguardrail.export.graph_builder import MICROSOFT, GraphBuilder
from tinyguardrail.export.integer_matmul import integer_matmul
from tinyguardrail.quantization.quantize import SCALE_SUFFIX, Arrays, dequantize_matrix

MASKED = -10000.0
TINY = np.finfo(np.float32).tiny
INPUTS = {
    "input_ids": (TensorProto.INT64, ["batch", "tokens"]),
    "attention_mask": (TensorProto.INT64, ["batch", "tokens"]),
    "spelling_ids": (TensorProto.INT64, ["batch", "tokens"]),
    "spellings": (TensorProto.INT64, ["spellings", "characters"]),
    "router_threshold": (TensorProto.FLOAT, ["thresholds"]),
}
GELU_MINIMUM = -0.17  # a GELU is never below, so its outputs are rounded on a one-sided range


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
    graph.constant([config["router_threshold"]], np.float32, name="router_threshold")
    hidden, fast_logits = guard.fast_branch(graph, guard.embeddings(graph))
    score = graph.op("Sigmoid", guard.router(graph, hidden, fast_logits))
    deep = graph.op("GreaterOrEqual", score, "router_threshold")
    deep_logits = guard.deep_branch_of(graph, hidden, deep)
    chosen = graph.op("Unsqueeze", deep, graph.constant([-1], np.int64))
    logits = graph.op("Where", chosen, deep_logits, fast_logits)
    by_label = ["batch", len(config["id2label"])]
    outputs = []
    for result, name, element, shape in (
        (logits, "logits", TensorProto.FLOAT, by_label),
        (score, "router_score", TensorProto.FLOAT, ["batch"]),
        (deep, "deep", TensorProto.BOOL, ["batch"]),
        (fast_logits, "fast_logits", TensorProto.FLOAT, by_label),
        (deep_logits, "deep_logits", TensorProto.FLOAT, by_label),
    ):
        graph.nodes.append(helper.make_node("Identity", [result], [name]))
        outputs.append(helper.make_tensor_value_info(name, element, shape))
    inputs = [helper.make_tensor_value_info(name, *of) for name, of in INPUTS.items()]
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
        rows = self._table(g, "embeddings.characters.table.weight", "spellings")
        rows = g.op("Transpose", rows, perm=[0, 2, 1])  # (S, E, C)
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
        first = g.constant([0], np.int64)
        joined = g.op("Unsqueeze", g.op("Concat", *pooled, axis=-1), first)  # (1, S, filters)
        vectors = g.op("Squeeze", self._linear(g, joined, "embeddings.characters.project"), first)  # (S, D)
        return g.op("Gather", vectors, "spelling_ids", axis=0)  # (B, T, D)

    def fast_branch(self, g: GraphBuilder, hidden: str) -> tuple[str, str]:
        """State (B, T, D) and logits (B, intents)."""
        mask = g.cast("attention_mask", TensorProto.FLOAT)
        hidden = self._layers(g, hidden, mask, "fast", self.config["fast_layers"])
        return hidden, self._classifier(g, hidden, mask, "fast.classifier")

    def router(self, g: GraphBuilder, hidden: str, fast_logits: str) -> str:
        mask = g.cast("attention_mask", TensorProto.FLOAT)
        outside = g.op("Sub", g.constant(np.float32(1)), mask)
        hole = g.op("Mul", outside, g.constant(np.float32(MASKED)))
        highest = g.op("Add", hidden, g.op("Unsqueeze", hole, g.constant([-1], np.int64)))
        highest = g.op("ReduceMax", highest, g.constant([1], np.int64), keepdims=0)
        pooled = g.op("Concat", self._mean(g, hidden, mask), highest, axis=-1)
        probabilities = g.op("Softmax", fast_logits, axis=-1)
        features = g.op("Concat", self._norm(g, pooled, "router.norm", epsilon=1e-5), probabilities, axis=-1)
        features = self._gelu(g, self._linear(g, features, "router.hidden"))
        last = g.constant([-1], np.int64)
        added = g.op("Squeeze", self._linear(g, features, "router.output"), last)
        doubt = g.op("Sub", g.constant(np.float32(1)), g.op("ReduceMax", probabilities, last, keepdims=0))
        logit = g.op("Add", added, g.op("Mul", g.constant(self.weights["router.doubt"]), doubt))
        centred = g.op("Sub", logit, g.constant(self.weights["router.offset"]))
        return g.op("Div", centred, g.constant(self.weights["router.scale"]))

    def deep_branch(self, g: GraphBuilder, hidden: str, mask: str) -> str:
        keys = g.cast(mask, TensorProto.INT32)
        for index in range(self.config["deep_layers"]):
            name = f"deep.layers.{index}"
            hidden = self._attention(g, hidden, keys, f"{name}.attention")
            mixed = self._mixture(g, hidden, mask, f"{name}.mixture")
            hidden = self._residual_norm(g, hidden, mixed, f"{name}.norm")
        return self._classifier(g, hidden, mask, "deep.classifier")

    def deep_branch_of(self, g: GraphBuilder, hidden: str, rows: str) -> str:
        """Logits of the deep branch in the rows where the boolean `rows` holds, zeros in the others."""
        intents = len(self.config["id2label"])
        batch = g.op("Shape", rows)
        shape = g.op("Concat", batch, g.constant([intents], np.int64), axis=0)
        zeros = g.op("Expand", g.constant(np.float32(0)), shape)

        def compute(inner: GraphBuilder) -> str:
            indices = inner.op("NonZero", rows)  # (1, n)
            flat = inner.op("Squeeze", indices, inner.constant([0], np.int64))
            mask = inner.cast(inner.op("Gather", "attention_mask", flat, axis=0), TensorProto.FLOAT)
            logits = self.deep_branch(inner, inner.op("Gather", hidden, flat, axis=0), mask)
            return inner.op("ScatterND", zeros, inner.op("Transpose", indices, perm=[1, 0]), logits)

        some = g.op("ReduceMax", g.cast(rows, TensorProto.INT32), keepdims=0)
        some = g.cast(some, TensorProto.BOOL)
        return g.branch(some, compute, lambda inner: zeros, TensorProto.FLOAT, ["batch", intents])

    # ---- parts -----------------------------------------------------------------------

    def _layers(self, g: GraphBuilder, hidden: str, mask: str, part: str, count: int) -> str:
        keys = g.cast(mask, TensorProto.INT32)
        for index in range(count):
            name = f"{part}.layers.{index}"
            hidden = self._attention(g, hidden, keys, f"{name}.attention")
            mixed = self._feed_forward(g, hidden, f"{name}.feed_forward")
            hidden = self._residual_norm(g, hidden, mixed, f"{name}.norm")
        return hidden

    def _attention(self, g: GraphBuilder, hidden: str, keys: str, name: str) -> str:
        projected = self._linear(g, hidden, f"{name}.qkv")
        query, key, value = g.ops("Split", 3, projected, axis=-1, num_outputs=3)  # (B, T, D) each
        mixed = g.op(
            "MultiHeadAttention",
            *(query, key, value, "", keys),
            domain=MICROSOFT,
            num_heads=self.config["num_attention_heads"],
            mask_filter_value=MASKED,
        )
        return self._residual_norm(g, hidden, self._linear(g, mixed, f"{name}.output"), f"{name}.norm")

    def _feed_forward(self, g: GraphBuilder, hidden: str, name: str) -> str:
        wide = self._gelu(g, self._linear(g, hidden, f"{name}.up"))
        return self._linear(g, wide, f"{name}.down", minimum=GELU_MINIMUM)

    def _mixture(self, g: GraphBuilder, hidden: str, mask: str, name: str) -> str:
        """The chosen experts' outputs, weighted; an expert that no text chose is not computed."""
        experts = self.config["num_experts"]
        shares = self._expert_shares(g, hidden, mask, name)  # (B, experts), 0 = not chosen
        by_expert = g.op("Transpose", shares, perm=[1, 0])
        used = g.op("ReduceMax", shares, g.constant([0], np.int64), keepdims=0)
        used = g.ops("Split", experts, g.cast(used, TensorProto.BOOL), axis=0, num_outputs=experts)
        rows = g.ops("Split", experts, by_expert, axis=0, num_outputs=experts)  # (1, B) each
        nothing = g.op("Slice", hidden, g.constant([0], np.int64), g.constant([0], np.int64))  # (0, T, D)
        outputs = [
            self._expert(g, hidden, used[index], rows[index], nothing, f"{name}.experts.{index}")
            for index in range(experts)
        ]
        chosen = g.op("NonZero", by_expert)  # (2, pairs): experts, texts; in the order of `outputs`
        pairs = g.op("Transpose", chosen, perm=[1, 0])
        share = g.op("Unsqueeze", g.op("GatherND", by_expert, pairs), g.constant([1, 2], np.int64))
        weighted = g.op("Mul", g.op("Concat", *outputs, axis=0), share)  # (pairs, T, D)
        return self._sum_by_text(g, weighted, pairs, hidden)

    def _sum_by_text(self, g: GraphBuilder, weighted: str, pairs: str, hidden: str) -> str:
        """Add up what belongs to one text, by a sort: a scatter that adds races where rows repeat.

        Args:
            weighted: (pairs, T, D), `num_experts_per_text` pairs for every text.
            pairs: (pairs, 2), expert and text of each.
            hidden: (B, T, D), for its shape.
        """
        per_text = self.config["num_experts_per_text"]
        texts = g.op("Gather", pairs, g.constant(1, np.int64), axis=1)
        _, order = g.ops("TopK", 2, texts, g.op("Shape", texts), axis=0, largest=0, sorted=1)
        shape = g.op("Slice", g.op("Shape", hidden), *(g.constant([n], np.int64) for n in (1, 3)))
        shape = g.op("Concat", g.constant([-1, per_text], np.int64), shape, axis=0)  # B, per_text, T, D
        grouped = g.op("Reshape", g.op("Gather", weighted, order, axis=0), shape)
        return g.op("ReduceSum", grouped, g.constant([1], np.int64), keepdims=0)

    def _expert_shares(self, g: GraphBuilder, hidden: str, mask: str, name: str) -> str:
        """Renormalised gate probabilities of the chosen experts at their places: (B, experts)."""
        last, chosen_count = g.constant([-1], np.int64), self.config["num_experts_per_text"]
        gate = g.op("Softmax", self._linear(g, self._mean(g, hidden, mask), f"{name}.gate"), axis=-1)
        weights, chosen = g.ops("TopK", 2, gate, g.constant([chosen_count], np.int64), axis=-1)
        weights = g.op("Div", weights, g.op("ReduceSum", weights, last, keepdims=1))
        weights = g.op("Max", weights, g.constant(TINY))  # a chosen expert counts, however little
        zeros = g.op("ConstantOfShape", g.op("Shape", gate))
        return g.op("ScatterElements", zeros, chosen, weights, axis=1)

    def _expert(self, g: GraphBuilder, hidden: str, used: str, shares: str, nothing: str, name: str) -> str:
        """One expert's output for the texts with a share of it, (n, T, D)."""

        def compute(inner: GraphBuilder) -> str:
            texts = inner.op("NonZero", inner.op("Squeeze", shares, inner.constant([0], np.int64)))
            texts = inner.op("Squeeze", texts, inner.constant([0], np.int64))
            return self._feed_forward(inner, inner.op("Gather", hidden, texts, axis=0), name)

        return g.branch(used, compute, lambda inner: nothing, TensorProto.FLOAT, [None, None, None])

    def _classifier(self, g: GraphBuilder, hidden: str, mask: str, name: str) -> str:
        pooled = g.op("Tanh", self._linear(g, self._mean(g, hidden, mask), f"{name}.dense"))
        return self._linear(g, pooled, f"{name}.output")

    # ---- operators --------------------------------------------------------------------

    def _linear(self, g: GraphBuilder, hidden: str, name: str, minimum: float = -np.inf) -> str:
        """x W^T + b of x (B, T, inputs), or (B, inputs) where W is fp32; no value of x is below `minimum`."""
        weight, bias = self.weights[f"{name}.weight"], self.weights.get(f"{name}.bias")
        scale = self.weights.get(f"{name}.weight{SCALE_SUFFIX}")
        if scale is None:
            product = g.op("MatMul", hidden, g.constant(weight.T))
        elif np.isinf(minimum):
            product = integer_matmul(g, hidden, weight, scale)
        else:  # (x - minimum) W^T + (minimum W^T + b)
            above = g.op("Sub", hidden, g.constant(np.float32(minimum)))
            product = integer_matmul(g, above, weight, scale, one_sided=True)
            shift = np.float32(minimum) * dequantize_matrix(weight, scale).sum(1)
            bias = shift if bias is None else bias + shift
        return product if bias is None else g.op("Add", product, g.constant(bias))

    def _table(self, g: GraphBuilder, name: str, indices: str) -> str:
        rows = g.op("Gather", g.constant(self.weights[name]), indices, axis=0)
        scale = self.weights.get(name + SCALE_SUFFIX)
        if scale is None:
            return rows
        scales = g.op("Gather", g.constant(scale), indices, axis=0)
        return g.op("Mul", g.cast(rows, TensorProto.FLOAT), scales)

    def _residual_norm(self, g: GraphBuilder, hidden: str, change: str, name: str) -> str:
        return self._norm(g, g.op("Add", hidden, change), name)

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
