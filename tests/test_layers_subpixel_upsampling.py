"""Sub-pixel upsampling against a slow transposed convolution in numpy and against Keras's own."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from shiftnet_tf.layers import SubpixelUpsampling
from shiftnet_tf.layers.subpixel_upsampling import subpixel_kernel


def slow_transposed_convolution(x, kernel, bias):
    """Each pixel stamps its 4x4 kernel on the output, stride 2; a border of 1 is cut: [H, W, C] -> [2H, 2W, F]."""
    height, width, _ = x.shape
    output = np.zeros((2 * height + 2, 2 * width + 2, kernel.shape[2]))
    for row in range(height):
        for column in range(width):
            output[2 * row : 2 * row + 4, 2 * column : 2 * column + 4] += kernel @ x[row, column]
    return output[1:-1, 1:-1] + bias


def layer_with(kernel, bias, x):
    layer = SubpixelUpsampling(kernel.shape[2])
    layer.build(x.shape)
    layer.set_weights([subpixel_kernel(kernel), bias])
    return layer


@pytest.mark.parametrize("size", [(1, 1), (1, 4), (5, 3), (8, 8)])
def test_equals_a_slow_loop(size):
    rng = np.random.default_rng(1)
    x = rng.normal(size=(2, *size, 5)).astype(np.float32)
    kernel, bias = rng.normal(size=(4, 4, 3, 5)).astype(np.float32), rng.normal(size=3).astype(np.float32)
    output = layer_with(kernel, bias, x)(x)
    for i in range(2):
        np.testing.assert_allclose(output[i], slow_transposed_convolution(x[i], kernel, bias), atol=1e-4)


@pytest.mark.parametrize("jit_compile", [False, True])
def test_equals_keras_values_and_gradients(jit_compile):
    rng = np.random.default_rng(2)
    x = tf.constant(rng.normal(size=(2, 8, 6, 7)), tf.float32)
    kernel, bias = rng.normal(size=(4, 4, 3, 7)).astype(np.float32), rng.normal(size=3).astype(np.float32)
    grad_output = tf.constant(rng.normal(size=(2, 16, 12, 3)), tf.float32)
    plain = keras.layers.Conv2DTranspose(3, 4, strides=2, padding="same")
    plain.build(x.shape)
    plain.set_weights([kernel, bias])
    layer = layer_with(kernel, bias, x)

    def values_and_gradients(layer):
        with tf.GradientTape() as tape:
            tape.watch(x)
            output = layer(x)
        variables = [x, layer.kernel.value, layer.bias.value]
        return output, *tape.gradient(output, variables, output_gradients=grad_output)

    output, grad_x, grad_kernel, grad_bias = tf.function(values_and_gradients, jit_compile=jit_compile)(layer)
    expected = values_and_gradients(plain)
    np.testing.assert_allclose(output, expected[0], atol=1e-4)
    np.testing.assert_allclose(grad_x, expected[1], atol=1e-3)
    np.testing.assert_allclose(grad_kernel, subpixel_kernel(expected[2]), atol=1e-3)
    np.testing.assert_allclose(grad_bias, expected[3], atol=1e-3)


def test_round_trip_through_its_config():
    layer = SubpixelUpsampling.from_config(SubpixelUpsampling(5).get_config())
    assert layer.filters == 5 and layer.kernel_initializer.stddev == 0.02


def test_smooth_is_the_same_blurred():
    rng = np.random.default_rng(3)
    x, bias = rng.normal(size=(1, 4, 5, 6)).astype(np.float32), rng.normal(size=2).astype(np.float32)
    kernel = rng.normal(size=(4, 4, 2, 6)).astype(np.float32)
    layer = SubpixelUpsampling(2, smooth=True)
    layer.build(x.shape)
    layer.set_weights([subpixel_kernel(kernel), bias])
    whole = np.pad(x[0], ((1, 1), (1, 1), (0, 0)))  # so that the border that is cut off is there
    sharp = slow_transposed_convolution(whole, kernel, bias)[1:-1, 1:-1]
    rows = sharp[:-2] + 2 * sharp[1:-1] + sharp[2:]
    expected = (rows[:, :-2] + 2 * rows[:, 1:-1] + rows[:, 2:]) / 16
    np.testing.assert_allclose(layer(x)[0], expected, atol=1e-4)
    assert SubpixelUpsampling.from_config(layer.get_config()).smooth


def test_smooth_makes_no_pattern_of_even_features():
    x = tf.tile(tf.random.normal([1, 1, 1, 6], seed=1), [1, 8, 8, 1])
    for smooth in (False, True):
        layer = SubpixelUpsampling(3, smooth=smooth, kernel_initializer="random_normal")
        inner = layer(x)[0, 4:-4, 4:-4].numpy()
        assert bool(np.ptp(inner, axis=(0, 1)).max() < 1e-5) is smooth
