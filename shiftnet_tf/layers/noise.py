"""Noise that a network can make texture of (Karras et al., 2019, arXiv 1812.04948, section 3.2).

[B, H, W, C] -> [B, H, W, C]. In a wide hole the features of a decoder are all alike, and from even features it can only
make an even picture or a regular pattern. Here the noise is a constant, the same for every image: the network stays a
function of its input, and a file of it needs no random numbers.
"""

import keras
import numpy as np
import tensorflow as tf


@keras.saving.register_keras_serializable(package="shiftnet_tf")
class ConstantNoise(keras.layers.Layer):
    """Adds one map of normal noise to all channels, as much to each as it has learned.

    Args:
        seed: int, of the noise. Defaults to 0.

    Input and output: float [B, H, W, C]; H and W are static.

    Example:

    >>> ConstantNoise()(tf.zeros([1, 8, 8, 4])).numpy().any()  # nothing is added until it has learned to
    np.False_
    """

    def __init__(self, seed=0, **kwargs):
        super().__init__(**kwargs)
        self.seed = seed

    def build(self, input_shape):
        self.strength = self.add_weight(shape=(input_shape[-1],), initializer="zeros", name="strength")

    def call(self, inputs):
        noise = np.random.default_rng(self.seed).normal(size=(1, *inputs.shape[1:3], 1))
        return inputs + tf.constant(noise, inputs.dtype) * tf.cast(self.strength, inputs.dtype)

    def get_config(self):
        return {**super().get_config(), "seed": self.seed}
