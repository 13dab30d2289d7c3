"""How much of the fine detail of patches is let into a prediction.

In: decoder features [B, S/2, S/2, C], an image float32 [B, S, S, 3] whose hole is filled with patches, and the mask
float32 [B, S, S, 1], 1 = hole. Out: float32 [B, S, S, 3], to be added to the prediction.

    detail = image - blur(image),    out = 2 sigmoid(g(features) + w * s) * detail

with g a transposed convolution to one channel and s the share of hole in a window around each pixel, from 0 to 1. In
a thin stroke the known pixels are near and the prediction alone is exact; in a wide hole it is a blur that the detail
makes look real, at little cost in PSNR. The weight w tells them apart.
"""

import keras
import tensorflow as tf

from shiftnet_tf.layers.subpixel_upsampling import SubpixelUpsampling

_CELL, _CELLS = 8, 7  # the window of the share: 7x7 cells of 8x8 pixels
_BLUR = 7  # pixels, twice


@keras.saving.register_keras_serializable(package="shiftnet_tf")
class DetailGate(SubpixelUpsampling):
    """Lets the fine detail of an image through, as much at each pixel as features and mask say.

    Call arguments:
        features: float [B, S/2, S/2, C].
        image: float32 [B, S, S, 3]; S is a multiple of 8.
        mask: float32 [B, S, S, 1], 1 = hole.

    Returns:
        float32 [B, S, S, 3].

    Example:

    >>> image, mask = tf.random.normal([1, 64, 64, 3]), tf.ones([1, 64, 64, 1])
    >>> DetailGate()(tf.zeros([1, 32, 32, 4]), image, mask).shape
    TensorShape([1, 64, 64, 3])
    """

    def __init__(self, **kwargs):
        super().__init__(**{"filters": 1, **kwargs})

    def build(self, input_shape, *_):
        super().build(input_shape)
        self.share_weight = self.add_weight(shape=(1,), initializer="zeros", name="share_weight")

    def call(self, features, image, mask):
        image, mask = tf.cast(image, tf.float32), tf.cast(mask, tf.float32)  # as in mixed precision they are not
        logits = tf.cast(super().call(features), tf.float32)  # [B, S, S, 1]
        logits += tf.cast(self.share_weight, tf.float32) * _share(mask)
        detail = image - tf.nn.avg_pool2d(tf.nn.avg_pool2d(image, _BLUR, 1, "SAME"), _BLUR, 1, "SAME")
        return 2.0 * tf.math.sigmoid(logits) * detail


def _share(mask):
    """The share of hole around each pixel, [B, S, S, 1]."""
    cells = tf.nn.avg_pool2d(mask, _CELL, _CELL, "VALID")
    return tf.image.resize(tf.nn.avg_pool2d(cells, _CELLS, 1, "SAME"), mask.shape[1:3])
