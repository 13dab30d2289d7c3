"""The generator, built from operations that LiteRT's GPU delegates run on phones: same weights, same values.

These operations include neither argmax nor gather (see `export.mobile_gpu`), and the largest 16-bit float is 65504.
"""

import keras
import numpy as np
import tensorflow as tf

from shiftnet_tf.layers import InstanceNormalization, ShiftConnection
from shiftnet_tf.networks import Generator

_HALF_SCALE = 8.0  # squares of a row of 128 numbers up to 180 stay below 65504


class MobileShiftConnection(ShiftConnection):
    """A shift connection that selects by a matrix of 0 and 1, see `one_hot_of_most_similar`."""

    def _rearrange(self, decoder: tf.Tensor, sources: tf.Tensor, missing: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        chosen = one_hot_of_most_similar(decoder, sources, missing)
        numbers = tf.range(sources.shape[1], dtype=tf.float32)
        nearest = tf.cast(tf.reduce_max(chosen * numbers, axis=-1)[:, 0], tf.int32)
        return tf.linalg.matmul(chosen, sources[:, tf.newaxis])[:, 0], nearest


class MobileInstanceNormalization(InstanceNormalization):
    """Instance normalisation by sums over single rows or columns, which fit into 16-bit floats."""

    def _moments(self, x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        def mean(values: tf.Tensor) -> tf.Tensor:
            return tf.reduce_mean(tf.reduce_mean(values, axis=2, keepdims=True), axis=1, keepdims=True)

        center = mean(x)
        return center, _HALF_SCALE**2 * mean(tf.square((x - center) / _HALF_SCALE))


class MobileGenerator(Generator):
    """A generator with the layers above in place of their originals; other layers may be refused by a delegate."""

    def _norm(self, name: str) -> keras.layers.Layer:
        return MobileInstanceNormalization(name=name) if self.normalization == "instance" else super()._norm(name)

    def _shift(self, name: str) -> keras.layers.Layer:
        return MobileShiftConnection(name=name) if self.shift in ("hard", "mirrored") else super()._shift(name)


def for_mobile_gpu(generator: Generator) -> MobileGenerator:
    """Return a generator with the same weights for the GPU of a phone.

    Args:
        generator: the network, built.
    """
    twin: MobileGenerator = MobileGenerator.from_config(generator.get_config())
    twin.build()
    twin.set_weights(generator.get_weights())
    return twin


def one_hot_of_most_similar(queries: tf.Tensor, sources: tf.Tensor, missing: tf.Tensor) -> tf.Tensor:
    """Return the choice of `ops.most_similar` as rows of 0 and 1, using only operations of GPU delegates on phones.

    Vectors are scaled to length 1 because the largest 16-bit float is 65504. Among equal scores, the first is found as
    the highest of descending ranks, because there is no argmax.

    Args:
        queries: float32 [B, N, C].
        sources: float32 [B, M, C]; at most 2,048 of them, so that 16-bit floats can number them.
        missing: float32 [B, M], 1 = a source that must not be chosen; if all are missing, any may be chosen.

    Returns:
        float32 [B, 1, N, M].
    """
    queries, sources = (_unit(x)[:, tf.newaxis] for x in (queries, sources))
    scores = tf.linalg.matmul(queries, tf.transpose(sources, [0, 1, 3, 2]))  # [B, 1, N, M]
    scores -= 4.0 * missing[:, tf.newaxis, tf.newaxis]
    highest = _at_maximum(scores)
    return _at_maximum(highest * tf.constant(np.arange(sources.shape[2], 0, -1), tf.float32))


def _at_maximum(x: tf.Tensor) -> tf.Tensor:
    """Return 1 where the last axis has its maximum, else 0."""
    return tf.cast(x >= tf.reduce_max(x, axis=-1, keepdims=True), tf.float32)


def _unit(x: tf.Tensor) -> tf.Tensor:
    # A mean, because a sum of squares would be folded into L2_NORMALIZATION, which those delegates refuse.
    length = tf.reduce_mean(tf.square(x), axis=-1, keepdims=True)
    return x * (tf.math.rsqrt(length + 1e-6) * x.shape[-1] ** -0.5)
