"""Rewrite ONNX graphs after the conversion; each function modifies an onnx.GraphProto in place."""

import collections
import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, cast

import numpy as np

if TYPE_CHECKING:
    import onnx


def make_constant(graph: "onnx.GraphProto", values: Mapping[str, np.ndarray]) -> None:
    """Turn inputs of an ONNX graph into constants, and compute what depends only on constants (their transposes).

    Args:
        graph: modified in place.
        values: one for each input to replace, by name.
    """
    from onnx import numpy_helper
    from onnx.reference import ReferenceEvaluator

    inputs = [value for value in graph.input if value.name not in values]
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    values, nodes = dict(values), []
    known = collections.ChainMap(values, constants)
    for node in graph.node:  # in order of computation
        if any(name in values for name in node.input) and all(name in known for name in node.input):
            operands = {name: known[name] for name in node.input}
            results = cast(list[np.ndarray], ReferenceEvaluator(node).run(None, operands))
            values.update(zip(node.output, results))
        else:
            nodes.append(node)
    used = {name for node in nodes for name in node.input}
    tensors = [tensor for tensor in graph.initializer if tensor.name in used]
    tensors += [numpy_helper.from_array(np.ascontiguousarray(values[name]), name) for name in values if name in used]
    _replace(graph, nodes, tensors)
    del graph.input[:]
    graph.input.extend(inputs)


def select_by_where(graph: "onnx.GraphProto") -> None:
    """Replace tf2onnx's form of a selection, Cast(c) * x + Cast(Not(c)) * y, by Where.

    This takes one pass instead of three, and a NaN on the side not chosen has no effect.

    Args:
        graph: modified in place.
    """
    from onnx import helper

    made = {name: node for node in graph.node for name in node.output}

    def operation(name: str, kind: str) -> "onnx.NodeProto | None":
        node = made.get(name)
        return node if node is not None and node.op_type == kind else None

    def chosen(name: str) -> tuple[str, bool, str] | None:
        """Return (condition, whether it is negated, value) of Mul(Cast(condition), value)."""
        product = operation(name, "Mul")
        if product is None:
            return None
        for i in range(2):
            cast = operation(product.input[i], "Cast")
            if cast is not None and cast.input[0] in conditions:
                negation = operation(cast.input[0], "Not")
                condition = cast.input[0] if negation is None else negation.input[0]
                return condition, negation is not None, product.input[1 - i]
        return None

    logical = {"Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Equal", "And", "Or", "Not"}
    conditions = {name for node in graph.node if node.op_type in logical for name in node.output}
    for i, node in enumerate(graph.node):
        sides = [side for side in map(chosen, node.input) if side] if node.op_type == "Add" else []
        if len(sides) == 2 and sides[0][0] == sides[1][0] and sides[0][1] != sides[1][1]:
            (condition, _, yes), (_, _, no) = sorted(sides, key=lambda side: side[1])
            graph.node[i].CopyFrom(helper.make_node("Where", [condition, yes, no], node.output, name=node.name))
    remove_unused(graph)


def remove_unused(graph: "onnx.GraphProto") -> None:
    """Remove nodes whose results are unused, and then unused constants.

    Args:
        graph: modified in place.
    """
    used = {value.name for value in graph.output}
    nodes: list[onnx.NodeProto] = []
    for node in reversed(graph.node):
        if any(name in used for name in node.output):
            nodes.insert(0, node)
            used.update(node.input)
    tensors = [tensor for tensor in graph.initializer if tensor.name in used]
    _replace(graph, nodes, tensors)


def _replace(
    graph: "onnx.GraphProto", nodes: Iterable["onnx.NodeProto"], tensors: Iterable["onnx.TensorProto"]
) -> None:
    for field, content in ((graph.node, nodes), (graph.initializer, tensors)):
        del field[:]
        field.extend(content)


def halve_constants(graph: "onnx.GraphProto") -> None:
    """Store the large float32 constants of an ONNX graph as float16, each cast back where it is used.

    Args:
        graph: modified in place.
    """
    from onnx import TensorProto, helper, numpy_helper

    casts = []
    for tensor in graph.initializer:
        if tensor.data_type == TensorProto.FLOAT and math.prod(tensor.dims) >= 1024:
            name = tensor.name
            half = numpy_helper.to_array(tensor).astype(np.float16)
            tensor.CopyFrom(numpy_helper.from_array(half, f"{name}_float16"))
            casts.append(helper.make_node("Cast", [tensor.name], [name], to=TensorProto.FLOAT))
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
