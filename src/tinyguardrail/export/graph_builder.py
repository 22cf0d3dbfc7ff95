"""A few lines over `onnx.helper`: operators as calls that return the name of their result."""

from collections.abc import Callable
from itertools import count
from typing import Any, Self

import numpy as np
from onnx import GraphProto, ModelProto, TensorProto, checker, helper, numpy_helper

MICROSOFT = "com.microsoft"  # ONNX Runtime's own operators
IR_VERSION = 10


class GraphBuilder:
    """Collects nodes and initializers of one graph, or of one branch of an `If`.

    A branch sees the names of the graph around it; its own initializers live inside it.
    """

    def __init__(self, name: str, outer: Self | None = None):
        self.name = name
        self.counter = outer.counter if outer else count()
        self.nodes: list[Any] = []
        self.initializers: dict[str, TensorProto] = {}

    def constant(self, value: Any, dtype: Any = None, name: str | None = None) -> str:
        """Store an array and return its name."""
        name = name or f"constant_{next(self.counter)}"
        self.initializers[name] = numpy_helper.from_array(np.array(value, dtype, order="C"), name)
        return name

    def op(self, kind: str, *inputs: str, domain: str = "", **attributes: Any) -> str:
        """Add an operator with one output and return that output's name."""
        return self.ops(kind, 1, *inputs, domain=domain, **attributes)[0]

    def cast(self, tensor: str, to: int) -> str:
        """Convert to an element type of `TensorProto`."""
        return self.op("Cast", tensor, to=to)

    def ops(self, kind: str, outputs: int, *inputs: str, domain: str = "", **attributes: Any) -> list[str]:
        names = [f"{kind.lower()}_{next(self.counter)}" for _ in range(outputs)]
        self.nodes.append(helper.make_node(kind, inputs, names, name=names[0], domain=domain, **attributes))
        return names

    def branch(
        self,
        condition: str,
        then: Callable[[Self], str],
        otherwise: Callable[[Self], str],
        element: int,
        shape: list[int | str | None],
    ) -> str:
        """An `If`: only the chosen side is computed. Both return the name of one tensor.

        In `shape`, a name stands for the same size wherever it occurs, and None for any size.
        """
        graphs = {}
        for key, side in (("then_branch", then), ("else_branch", otherwise)):
            inner = GraphBuilder(f"{key}_{next(self.counter)}", self)
            result = inner.op("Identity", side(inner))
            graphs[key] = inner._graph([], [helper.make_tensor_value_info(result, element, shape)])
        return self.op("If", condition, **graphs)

    def _graph(self, inputs: list[Any], outputs: list[Any]) -> GraphProto:
        return helper.make_graph(
            self.nodes, self.name, inputs, outputs, initializer=list(self.initializers.values())
        )

    def model(self, inputs: list[Any], outputs: list[Any], opset: int) -> ModelProto:
        """The finished, checked model."""
        model = helper.make_model(
            self._graph(inputs, outputs),
            opset_imports=[helper.make_opsetid("", opset), helper.make_opsetid(MICROSOFT, 1)],
            ir_version=IR_VERSION,
            producer_name="tinyguardrail",
        )
        checker.check_model(model)
        return model
