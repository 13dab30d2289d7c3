"""Instance normalisation against tensorflow-addons' recorded values, numpy, and Keras's group normalisation."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from shiftnet_tf.layers import InstanceNormalization


@pytest.mark.parametrize("jit_compile", [False, True])
def test_equals_tensorflow_addons_values_and_gradients(reference, jit_compile):
    values = reference("instance_normalization_tfa")
    layer = InstanceNormalization(epsilon=float(values["epsilon"]))
    layer.build(values["x"].shape)
    layer.set_weights([values["gamma"], values["beta"]])

    @tf.function(jit_compile=jit_compile)
    def run(x, grad_output):
        with tf.GradientTape() as tape:
            tape.watch(x)
            output = layer(x)
        return output, *tape.gradient(output, [x, layer.gamma.value, layer.beta.value], output_gradients=grad_output)

    output, *gradients = run(tf.constant(values["x"]), tf.constant(values["grad_output"]))
    np.testing.assert_allclose(output, values["output"], atol=1e-5)
    for gradient, name in zip(gradients, ("grad_x", "grad_gamma", "grad_beta")):
        np.testing.assert_allclose(gradient, values[name], atol=1e-4)


def test_equals_numpy_and_group_normalization():
    x = np.random.default_rng(0).normal(3, 5, size=(2, 7, 5, 6)).astype(np.float32)
    wide = x.astype(np.float64)
    expected = (wide - wide.mean((1, 2), keepdims=True)) / np.sqrt(wide.var((1, 2), keepdims=True) + 1e-5)
    np.testing.assert_allclose(InstanceNormalization()(x), expected, atol=1e-5)
    np.testing.assert_allclose(
        InstanceNormalization()(x), keras.layers.GroupNormalization(groups=-1, epsilon=1e-5)(x), atol=1e-5
    )


def test_half_precision_sums_in_float32():
    x = np.full((1, 128, 128, 2), 100.0, np.float16)  # the sum of squares is far beyond float16
    x[:, ::2] = 102.0
    output = InstanceNormalization(dtype="float16")(x)
    assert output.dtype == tf.float16
    np.testing.assert_allclose(np.unique(output), [-1, 1], atol=1e-2)


def test_round_trip_through_its_config():
    assert InstanceNormalization.from_config(InstanceNormalization(epsilon=0.5).get_config()).epsilon == 0.5
