"""PSNR of inpainted images: one value per image, over the whole image or its hole.

Images are float32 [B, H, W, 3] in [-1, 1], masks float32 [B, H, W, 1], 1 = hole.
"""

import tensorflow as tf

_RANGE = 2.0  # of [-1, 1]
_LIMIT = 100.0  # dB, for equal images: keeps a mean over images finite


def _mean(values: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
    """Return the weighted mean over height, width and channels of each image: [B, H, W, 3], [B, H, W, 1] -> [B]."""
    total = tf.reduce_sum(values * weights, axis=[1, 2, 3])
    count = tf.reduce_sum(weights, axis=[1, 2, 3]) * values.shape[-1]
    return tf.math.divide_no_nan(total, count)


def psnr(image: tf.Tensor, inpainted_image: tf.Tensor, mask: tf.Tensor | None = None) -> tf.Tensor:
    """Return the peak signal-to-noise ratio.

    Args:
        image, inpainted_image: float32 [B, H, W, 3] in [-1, 1].
        mask: float32 [B, H, W, 1]; only its hole counts. None: the whole image.

    Returns:
        float32 [B], in dB; at most 100, the value for equal images.
    """
    weights = tf.ones_like(image[..., :1]) if mask is None else mask
    error = _mean(tf.square(image - inpainted_image), weights)
    ratio = _RANGE**2 / tf.maximum(error, _RANGE**2 * 10 ** (-_LIMIT / 10))
    return 10.0 * tf.math.log(ratio) / tf.math.log(10.0)
