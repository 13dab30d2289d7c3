"""Instance normalisation in four dimensions.

[B, H, W, C] -> [B, H, W, C]: each channel of each image gets mean 0 and variance 1 over its positions, then a learned
scale and offset (Ulyanov et al., 2016, arXiv 1607.08022). The values equal those of
`keras.layers.GroupNormalization(groups=-1)`, whose five-dimensional reshapes are slow in every runtime and refused by
GPU delegates on phones.
"""

from typing import Any

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable(package="shiftnet_tf")
class InstanceNormalization(keras.layers.Layer):
    """Normalises each channel of each image over height and width.

    Args:
        epsilon: added to the variance. Defaults to 1e-5, as in PyTorch.

    Input and output: float [B, H, W, C]. Mean and variance are computed in float32 at any precision. `training` has no
    effect; it gives all normalisations the same call.

    Examples:

    >>> InstanceNormalization()(tf.random.normal([2, 8, 8, 4])).shape
    TensorShape([2, 8, 8, 4])
    """

    def __init__(self, epsilon: float = 1e-5, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.epsilon = epsilon

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        channels = input_shape[-1]
        self.gamma = self.add_weight(shape=(channels,), initializer="ones", name="gamma")
        self.beta = self.add_weight(shape=(channels,), initializer="zeros", name="beta")

    def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
        x = tf.cast(inputs, tf.float32)
        mean, variance = self._moments(x)
        scale = tf.math.rsqrt(variance + self.epsilon) * tf.cast(self.gamma, tf.float32)
        offset = tf.cast(self.beta, tf.float32) - mean * scale
        return tf.cast(x * scale + offset, inputs.dtype)  # two passes, where (x - mean) * scale + beta takes three

    def _moments(self, x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Return mean and variance over the positions, [B, 1, 1, C] each."""
        mean, variance = tf.nn.moments(x, axes=[1, 2], keepdims=True)
        return mean, variance

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "epsilon": self.epsilon}
