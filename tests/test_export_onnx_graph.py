"""Rewriting of ONNX graphs, run in ONNX Runtime."""

import numpy as np
import onnx
import onnxruntime
import tensorflow as tf
import tf2onnx

from shiftnet_tf.export import onnx_graph


def run(model, **inputs):
    session = onnxruntime.InferenceSession(model.SerializeToString())
    return session.run(None, inputs)[0]


def a_selection():
    @tf.function(input_signature=[tf.TensorSpec([None, 3], tf.float32, name=name) for name in "xy"])
    def graph(x, y):
        chosen = tf.where(x > 0.5, x, y)
        return chosen + tf.cast(x > 0.5, tf.float32) * y  # no selection: it has no other side

    return tf2onnx.convert.from_function(graph, input_signature=graph.input_signature, opset=18)[0]


def test_a_selection_becomes_one_operation_and_stays_the_same():
    model, rng = a_selection(), np.random.default_rng(0)
    inputs = {name: rng.uniform(size=(5, 3)).astype(np.float32) for name in "xy"}
    before = run(model, **inputs)
    onnx_graph.select_by_where(model.graph)
    onnx.checker.check_model(model)
    kinds = [node.op_type for node in model.graph.node]
    assert kinds.count("Where") == 1 and "Not" not in kinds and kinds.count("Mul") == 1
    np.testing.assert_array_equal(run(model, **inputs), before)
    expected = np.where(inputs["x"] > 0.5, inputs["x"] + inputs["y"], inputs["y"])
    np.testing.assert_allclose(run(model, **inputs), expected, rtol=1e-6)


def test_what_is_not_chosen_may_be_nan():
    @tf.function(input_signature=[tf.TensorSpec([3], tf.float32, name=name) for name in "xy"])
    def graph(x, y):
        return tf.where(x > 0.5, x, y)

    model = tf2onnx.convert.from_function(graph, input_signature=graph.input_signature, opset=18)[0]
    onnx_graph.select_by_where(model.graph)
    x, y = np.array([1, 2, 0], np.float32), np.array([np.nan, np.nan, 3], np.float32)
    np.testing.assert_array_equal(run(model, x=x, y=y), [1, 2, 3])


def test_large_constants_are_kept_in_16_bits():
    from onnx import TensorProto, helper, numpy_helper

    kernel = np.random.default_rng(0).normal(size=(64, 64)).astype(np.float32)
    node = helper.make_node("MatMul", ["x", "kernel"], ["y"])
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 64]) for name in "xy"]
    tensors = [numpy_helper.from_array(kernel, "kernel")]
    graph = helper.make_graph([node], "product", values[:1], values[1:], tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    size = len(model.SerializeToString())
    onnx_graph.halve_constants(model.graph)
    assert len(model.SerializeToString()) < 0.6 * size
    x = np.ones((1, 64), np.float32)
    np.testing.assert_allclose(run(model, x=x), x @ kernel.astype(np.float16).astype(np.float32), atol=1e-4)
