"""How near an inpainted image is to the true one: one value for each image, on the whole image or on its hole.

Images are float32 [B, H, W, 3] in [-1, 1], masks float32 [B, H, W, 1], 1 = hole.
"""

import tensorflow as tf

_RANGE = 2.0  # of [-1, 1]
_LIMIT = 100.0  # dB, of equal images: keeps a mean over images finite


def _mean(values, weights):
    """Mean over height, width and channels of each image, weighted: [B, H, W, 3], [B, H, W, 1] -> [B]."""
    total = tf.reduce_sum(values * weights, axis=[1, 2, 3])
    count = tf.reduce_sum(weights, axis=[1, 2, 3]) * values.shape[-1]
    return tf.math.divide_no_nan(total, count)


def psnr(image, inpainted_image, mask=None):
    """Peak signal-to-noise ratio.

    Args:
        image, inpainted_image: float32 [B, H, W, 3] in [-1, 1].
        mask: float32 [B, H, W, 1]; only its hole counts. None: the whole image.

    Returns:
        float32 [B], in dB; at most 100, which equal images get.
    """
    weights = tf.ones_like(image[..., :1]) if mask is None else mask
    error = _mean(tf.square(image - inpainted_image), weights)
    ratio = _RANGE**2 / tf.maximum(error, _RANGE**2 * 10 ** (-_LIMIT / 10))
    return 10.0 * tf.math.log(ratio) / tf.math.log(10.0)
