"""Switchable normalisation against numpy, and which layer a name stands for."""

import keras
import numpy as np
import pytest

from shiftnet_tf.layers import InstanceNormalization, SwitchableNormalization, normalization


def softmax(x):
    return np.exp(x) / np.exp(x).sum()


@pytest.fixture
def layer_and_input():
    rng = np.random.default_rng(0)
    layer = SwitchableNormalization()
    layer.build((None, 5, 7, 4))
    layer.set_weights([rng.normal(size=w.shape) ** 2 for w in layer.get_weights()])
    return layer, (3 * rng.normal(size=(3, 5, 7, 4)) + rng.normal(size=4)).astype(np.float32)


@pytest.mark.parametrize("training", [True, False])
def test_mixes_the_statistics_of_instance_layer_and_batch(layer_and_input, training):
    layer, x = layer_and_input
    gamma, beta, mean_weights, variance_weights, moving_mean, moving_variance = layer.get_weights()
    axes = [(1, 2), (1, 2, 3), (0, 1, 2)]
    means = [x.mean(axis=axis, keepdims=True) for axis in axes]
    variances = [x.var(axis=axis, keepdims=True) for axis in axes]
    batch = means[2].ravel(), variances[2].ravel()
    if not training:
        means[2], variances[2] = moving_mean, moving_variance
    mean = sum(w * m for w, m in zip(softmax(mean_weights), means))
    variance = sum(w * v for w, v in zip(softmax(variance_weights), variances))
    expected = (x - mean) / np.sqrt(variance + 1e-5) * gamma + beta
    np.testing.assert_allclose(layer(x, training=training), expected, atol=1e-4)
    share = 0.1 if training else 0.0
    np.testing.assert_allclose(layer.moving_mean, (1 - share) * moving_mean + share * batch[0], atol=1e-5)
    np.testing.assert_allclose(layer.moving_variance, (1 - share) * moving_variance + share * batch[1], atol=1e-4)


def test_the_variance_of_large_equal_values_is_not_negative():
    x = np.full((2, 4, 4, 3), 1e4, np.float32)
    assert np.isfinite(SwitchableNormalization()(x, training=True)).all()


def test_the_statistics_are_no_trainable_weights(layer_and_input):
    layer, _ = layer_and_input
    assert [v.name for v in layer.trainable_variables] == ["gamma", "beta", "mean_weights", "variance_weights"]
    assert [v.name for v in layer.non_trainable_variables] == ["moving_mean", "moving_variance"]


def test_names():
    with pytest.raises(ValueError, match='must be "instance", "batch" or "switchable". Received: \'group\''):
        normalization("group", "a")
    assert type(normalization("instance", "a")) is InstanceNormalization
    assert type(normalization("switchable", "a")) is SwitchableNormalization
    batch = normalization("batch", "a")
    assert type(batch) is keras.layers.BatchNormalization and (batch.momentum, batch.epsilon) == (0.9, 1e-5)


def test_round_trip_through_its_config():
    layer = SwitchableNormalization(epsilon=1e-3, momentum=0.5)
    assert SwitchableNormalization.from_config(layer.get_config()).get_config() == layer.get_config()
