"""The choice of normalisations for the networks, and the switchable one. [B, H, W, C] -> [B, H, W, C]."""

from typing import Any

import keras
import tensorflow as tf

from shiftnet_tf.layers.instance_normalization import InstanceNormalization

_EPSILON = 1e-5
_MOMENTUM = 0.9  # of the moving averages: PyTorch's 0.1


@keras.saving.register_keras_serializable(package="shiftnet_tf")
class SwitchableNormalization(keras.layers.Layer):
    """Normalises by a learned mixture of instance, layer and batch statistics.

    Three weights for the means and three for the variances, each through a softmax, mix the statistics per channel and
    image, per image, and per channel of the batch (in inference, their moving averages).

    Args:
        epsilon: added to the variance. Defaults to 1e-5.
        momentum: of the moving averages. Defaults to 0.9.

    Input and output: float [B, H, W, C].

    Examples:

    >>> SwitchableNormalization()(tf.random.normal([2, 8, 8, 4])).shape
    TensorShape([2, 8, 8, 4])

    Reference: [Luo et al., 2018](https://arxiv.org/abs/1806.10779).
    """

    def __init__(self, epsilon: float = _EPSILON, momentum: float = _MOMENTUM, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.epsilon = epsilon
        self.momentum = momentum

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        channels = input_shape[-1]
        self.gamma = self.add_weight(shape=(channels,), initializer="ones", name="gamma")
        self.beta = self.add_weight(shape=(channels,), initializer="zeros", name="beta")
        self.mean_weights = self.add_weight(shape=(3,), initializer="ones", name="mean_weights")
        self.variance_weights = self.add_weight(shape=(3,), initializer="ones", name="variance_weights")
        moving = {"shape": (channels,), "trainable": False, "autocast": False}
        self.moving_mean = self.add_weight(initializer="zeros", name="moving_mean", **moving)
        self.moving_variance = self.add_weight(initializer="ones", name="moving_variance", **moving)

    def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
        x = tf.cast(inputs, tf.float32)
        mean, variance = tf.nn.moments(x, axes=[1, 2], keepdims=True)  # of the instance, [B, 1, 1, C]
        layer_mean, layer_variance = _pool(mean, variance, axis=-1)  # [B, 1, 1, 1]
        if training:
            batch_mean, batch_variance = _pool(mean, variance, axis=0)  # [1, 1, 1, C]
            for moving, value in ((self.moving_mean, batch_mean), (self.moving_variance, batch_variance)):
                moving.assign(self.momentum * moving + (1.0 - self.momentum) * tf.reshape(value, [-1]))
        else:
            batch_mean, batch_variance = (tf.convert_to_tensor(v) for v in (self.moving_mean, self.moving_variance))
        mixed_mean = _mix(self.mean_weights, mean, layer_mean, batch_mean)
        mixed_variance = _mix(self.variance_weights, variance, layer_variance, batch_variance)
        scale = tf.math.rsqrt(mixed_variance + self.epsilon) * tf.cast(self.gamma, tf.float32)
        return tf.cast((x - mixed_mean) * scale + tf.cast(self.beta, tf.float32), inputs.dtype)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "epsilon": self.epsilon, "momentum": self.momentum}


def _pool(mean: tf.Tensor, variance: tf.Tensor, axis: int) -> tuple[tf.Tensor, tf.Tensor]:
    """Return the mean and variance of several groups of equal size together, from those of each."""
    pooled_mean = tf.reduce_mean(mean, axis=axis, keepdims=True)
    spread = tf.square(mean - pooled_mean)  # never negative, unlike mean of squares less square of the mean
    return pooled_mean, tf.reduce_mean(variance + spread, axis=axis, keepdims=True)


def _mix(weights: tf.Tensor, *statistics: tf.Tensor) -> tf.Tensor:
    shares = tf.unstack(tf.nn.softmax(tf.cast(weights, tf.float32)))
    return sum(share * statistic for share, statistic in zip(shares, statistics))


def normalization(kind: str, name: str) -> keras.layers.Layer:
    """Return a normalisation layer with a scale and an offset per channel.

    Args:
        kind: `"instance"` (the paper), `"batch"` or `"switchable"`.
        name: the layer's name.

    Raises:
        ValueError: an unknown kind.
    """
    if kind == "instance":
        return InstanceNormalization(name=name)
    if kind == "switchable":
        return SwitchableNormalization(name=name)
    if kind == "batch":
        return keras.layers.BatchNormalization(momentum=_MOMENTUM, epsilon=_EPSILON, name=name)
    raise ValueError(f'`normalization` must be "instance", "batch" or "switchable". Received: {kind!r}')
