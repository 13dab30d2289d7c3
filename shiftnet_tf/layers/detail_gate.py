"""Decide how much of the patches that fill a hole goes into a prediction.

In: decoder features [B, S/2, S/2, C], the prediction and an image whose hole is filled with patches, float32
[B, S, S, 3], and the mask float32 [B, S, S, 1], 1 = hole. Out: float32 [B, S, S, 3]. With the share

    w = sigmoid(g(features) + v * s)

for each pixel, where g is a transposed convolution to one channel and s the share of hole in a window around the pixel
(0 to 1), either the fine detail of the patches is added to the prediction, or both are blended:

    out = prediction + 2 w (patches - blur(patches)),    out = w patches + (1 - w) prediction

In a thin stroke, known pixels are near and the prediction alone is exact. In a wide hole it is blurred, and the patches
make it look real at little cost in PSNR. The weight v tells the two cases apart.
"""

from typing import Any

import keras
import tensorflow as tf

from shiftnet_tf.layers.subpixel_upsampling import SubpixelUpsampling

_CELL, _CELLS = 8, 7  # the window of the share: 7x7 cells of 8x8 pixels
_BLUR = 7  # pixels, twice


@keras.saving.register_keras_serializable(package="shiftnet_tf")
class DetailGate(SubpixelUpsampling):
    """Adds patches to a prediction, weighted at each pixel by the features and the mask.

    Args:
        blend: whether to blend patches and prediction instead of adding fine detail. Defaults to False.

    Call arguments:
        features: float [B, S/2, S/2, C].
        predicted_image: float32 [B, S, S, 3]; S is a multiple of 8.
        filled_image: float32 [B, S, S, 3], its hole filled with patches.
        mask: float32 [B, S, S, 1], 1 = hole.

    Returns:
        float32 [B, S, S, 3].

    Examples:

    >>> images, mask = tf.random.normal([2, 1, 64, 64, 3]), tf.ones([1, 64, 64, 1])
    >>> DetailGate()(tf.zeros([1, 32, 32, 4]), *tf.unstack(images), mask).shape
    TensorShape([1, 64, 64, 3])
    """

    def __init__(self, blend: bool = False, **kwargs: Any) -> None:
        super().__init__(**{"filters": 1, **kwargs})
        self.blend = blend

    def build(self, input_shape: tuple[int | None, ...], *_: Any) -> None:
        super().build(input_shape)
        self.share_weight = self.add_weight(shape=(1,), initializer="zeros", name="share_weight")

    def call(  # type: ignore[override]
        self, features: tf.Tensor, predicted_image: tf.Tensor, filled_image: tf.Tensor, mask: tf.Tensor
    ) -> tf.Tensor:
        # Keras casts them in mixed precision.
        predicted_image, filled_image, mask = (tf.cast(x, tf.float32) for x in (predicted_image, filled_image, mask))
        logits = tf.cast(super().call(features), tf.float32)  # [B, S, S, 1]
        logits += tf.cast(self.share_weight, tf.float32) * _share(mask)
        share = tf.math.sigmoid(logits)
        if self.blend:
            return predicted_image + share * (filled_image - predicted_image)
        blurred = tf.nn.avg_pool2d(tf.nn.avg_pool2d(filled_image, _BLUR, 1, "SAME"), _BLUR, 1, "SAME")
        return predicted_image + 2.0 * share * (filled_image - blurred)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "blend": self.blend}


def _share(mask: tf.Tensor) -> tf.Tensor:
    """Return the share of hole around each pixel, [B, S, S, 1]."""
    cells = tf.nn.avg_pool2d(mask, _CELL, _CELL, "VALID")
    return tf.image.resize(tf.nn.avg_pool2d(cells, _CELLS, 1, "SAME"), mask.shape[1:3])
