"""Constant noise: nothing at first, then one map, the same each time, as much in each channel as was learned."""

import numpy as np
import pytest
import tensorflow as tf

from shiftnet_tf.layers import ConstantNoise


def test_one_map_of_normal_noise_for_all_channels():
    layer = ConstantNoise(seed=5)
    x = tf.random.normal([2, 64, 48, 3])
    np.testing.assert_array_equal(layer(x), x)
    layer.strength.assign([0.0, 1.0, -2.0])
    added = (layer(x) - x).numpy()
    assert not added[..., 0].any()
    np.testing.assert_allclose(added[..., 2], -2 * added[..., 1], atol=1e-5)
    np.testing.assert_allclose(added[0], added[1], atol=1e-5)
    assert added[..., 1].mean() == pytest.approx(0, abs=0.05) and added[..., 1].std() == pytest.approx(1, abs=0.05)


def test_the_noise_follows_the_seed():
    outputs = []
    for seed in (1, 1, 2):
        layer = ConstantNoise.from_config(ConstantNoise(seed=seed).get_config())
        layer.build((None, 8, 8, 1))
        layer.strength.assign([1.0])
        outputs.append(layer(tf.zeros([1, 8, 8, 1])).numpy())
    np.testing.assert_array_equal(outputs[0], outputs[1])
    assert np.abs(outputs[0] - outputs[2]).max() > 0.1
