"""The convolution as a matrix product, beside Keras's own."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from shiftnet_tf.layers import Conv2D, SubpixelUpsampling
from shiftnet_tf.ops.targets import graph_for_file


def both(size, kernel_size):
    layers = [kind(6, kernel_size, strides=2, padding="same") for kind in (Conv2D, keras.layers.Conv2D)]
    x = tf.random.stateless_normal([2, size, size, 5], seed=[size, 0])
    for layer in layers:
        layer.build(x.shape)
    layers[0].bias.assign(np.arange(6, dtype=np.float32))
    layers[1].set_weights(layers[0].get_weights())
    return layers, x


def operations(layer, x):
    graph = tf.function(lambda x: layer(x)).get_concrete_function(x).graph
    return {operation.type for operation in graph.get_operations()}


@pytest.mark.parametrize("kernel_size", [4, 6])
@pytest.mark.parametrize("size, as_product", [(2, True), (4, True), (16, True), (34, True), (36, False)])
def test_the_same_as_keras_values_and_gradients(size, as_product, kernel_size):
    layers, x = both(size, kernel_size)
    results = []
    for layer in layers:
        with tf.GradientTape() as tape:
            tape.watch(x)
            output = layer(x)
        gradients = tape.gradient(output, [x, *layer.trainable_variables], output_gradients=tf.sin(output))
        results.append([output, *gradients])
    for ours, theirs in zip(*results):
        np.testing.assert_allclose(ours, theirs, atol=2e-4)
    assert ("MatMul" in operations(layers[0], x)) == as_product
    assert "Conv2D" in operations(layers[1], x)


def test_a_file_keeps_its_convolutions():
    layers, x = both(8, 4)
    upsampling = SubpixelUpsampling(3)
    upsampling.build(x.shape)
    expected = layers[0](x)
    assert "MatMul" in operations(upsampling, x)
    with graph_for_file():
        assert "MatMul" not in operations(layers[0], x) | operations(upsampling, x)
        np.testing.assert_allclose(layers[0](x), expected, atol=1e-5)


def test_odd_sizes_and_other_strides_are_keras_own():
    for arguments, size in (((3, 1, "same"), 8), ((4, 2, "valid"), 8), ((4, 2, "same"), 7)):
        kernel, stride, padding = arguments
        ours = Conv2D(2, kernel, strides=stride, padding=padding)
        x = tf.random.stateless_normal([1, size, size, 3], seed=[0, size])
        ours.build(x.shape)
        theirs = keras.layers.Conv2D(2, kernel, strides=stride, padding=padding)
        theirs.build(x.shape)
        theirs.set_weights(ours.get_weights())
        np.testing.assert_array_equal(ours(x), theirs(x))
