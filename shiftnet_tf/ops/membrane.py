"""Membrane interpolation: extend the values around a hole smoothly into it.

In: image float32 [B, S, S, C] and mask float32 [B, S, S, 1], 1 = hole. Out: float32 [B, S, S, C], equal to the image at
known pixels; in the hole nearly the solution of Laplace's equation, the shape of a rubber sheet held at the hole's edge
(Perez et al., Poisson Image Editing, 2003). It is computed on a pyramid, from coarse to fine (as in Farbman et al.,
Convolution Pyramids, 2011), with two rounds of smoothing at each level. It has no weights.

It uses only pooling, bilinear resizing and selection, so that it converts to ONNX and TFLite builtins.
"""

import tensorflow as tf

from shiftnet_tf.ops.masking import mask_image

_ROUNDS = 2  # of smoothing; 30 would gain 0.2 dB if the membrane were the filling


def membrane(image: tf.Tensor, mask: tf.Tensor) -> tf.Tensor:
    """Extend known values smoothly into the hole.

    Args:
        image: float32 [B, S, S, C]; content under the mask has no effect.
        mask: float32 [B, S, S, 1], 1 = hole.

    Returns:
        float32 [B, S, S, C]; 0 if nothing is known.
    """
    return _fill(mask_image(image, mask), 1.0 - mask)


def _fill(values: tf.Tensor, known: tf.Tensor) -> tf.Tensor:
    """Fill one level: `values` [B, h, w, C] are 0 where `known` [B, h, w, 1], of 0 and 1, is 0."""
    height, width = values.shape[1:3]
    if height % 2 or width % 2:
        total = tf.reduce_sum(known, axis=[1, 2], keepdims=True)
        mean = tf.reduce_sum(values, axis=[1, 2], keepdims=True) / tf.maximum(total, 1.0)
        return values + (1.0 - known) * mean
    share = tf.nn.avg_pool2d(known, 2, 2, "VALID")  # a multiple of 1/4
    coarse = tf.nn.avg_pool2d(values, 2, 2, "VALID") / tf.maximum(share, 0.25)
    coarse = _fill(coarse, tf.minimum(4.0 * share, 1.0))
    filled = values + (1.0 - known) * tf.image.resize(coarse, [height, width])
    for _ in range(_ROUNDS):  # pixels outside the image do not count
        filled = values + (1.0 - known) * tf.nn.avg_pool2d(filled, 3, 1, "SAME")
    return filled
