"""The residual shift against its formula, written out in numpy."""

import numpy as np
import pytest
import tensorflow as tf

from shiftnet_tf.layers import ResidualShiftConnection, ShiftConnection


def convolved(x, kernel, bias):
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(1, 2))  # [B, H, W, C, 3, 3]
    return np.einsum("bhwcij,ijcf->bhwf", windows, kernel) + bias


def normed(x):
    return (x - x.mean(axis=(1, 2), keepdims=True)) / np.sqrt(x.var(axis=(1, 2), keepdims=True) + 1e-5)


@pytest.fixture
def case():
    rng = np.random.default_rng(0)
    decoder, encoder = rng.normal(size=(2, 2, 6, 8, 4)).astype(np.float32)
    mask = np.zeros((2, 6, 8, 1), np.float32)
    mask[0, 1:4, 2:5] = mask[1, 3:, 4:] = 1
    return decoder, encoder, mask


def test_equals_its_formula(case):
    decoder, encoder, _ = case
    layer = ResidualShiftConnection()
    joined, shift_map = layer(*case, return_shift_map=True)
    hard, hard_map = ShiftConnection()(*case, return_shift_map=True)
    x = np.concatenate([decoder, decoder * hard.numpy()[..., 8:]], axis=-1)
    first, second = ((layer.kernel.numpy(), layer.bias.numpy()) for layer in layer.convolutions)
    x = normed(convolved(np.maximum(normed(convolved(x, *first)), 0), *second))
    np.testing.assert_allclose(joined, np.concatenate([decoder + x, encoder], axis=-1), atol=1e-4)
    np.testing.assert_array_equal(shift_map, hard_map)


def test_the_layer_learns_and_both_features_have_gradients(case):
    layer = ResidualShiftConnection()
    decoder, encoder, mask = (tf.constant(x) for x in case)
    with tf.GradientTape() as tape:
        tape.watch([decoder, encoder])
        loss = tf.reduce_sum(tf.square(layer(decoder, encoder, mask)[..., :4]))
    assert len(layer.trainable_variables) == 8
    for gradient in tape.gradient(loss, [decoder, encoder, *[conv.kernel for conv in layer.convolutions]]):
        assert np.abs(gradient).max() > 0


def test_round_trip_through_its_config():
    layer = ResidualShiftConnection(name="shift")
    assert ResidualShiftConnection.from_config(layer.get_config()).name == "shift"
