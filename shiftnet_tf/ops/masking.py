"""Operations on masks inside the networks.

Images are float [B, H, W, 3] in [-1, 1], masks float [B, H, W, 1], 1 = hole. All operations select, so that nothing
under a mask, not even a NaN, reaches a result.
"""

from collections.abc import Sequence
from typing import Literal

import tensorflow as tf

from shiftnet_tf.ops import replicas

# Section 3.2 of the paper: three 4x4, stride 2 convolutions with all weights 1/16; hole from 5/16 on.
_THRESHOLD = 5 / 16


def mask_image(image: tf.Tensor, mask: tf.Tensor) -> tf.Tensor:
    """Return the image with its hole set to 0.

    Args:
        image: float [B, H, W, 3].
        mask: [B, H, W, 1], 1 = hole.

    Returns:
        float [B, H, W, 3].
    """
    return composite(tf.zeros_like(image), image, mask)


def composite(predicted_image: tf.Tensor, image: tf.Tensor, mask: tf.Tensor) -> tf.Tensor:
    """Return the prediction in the hole and the image elsewhere.

    Args:
        predicted_image, image: [B, H, W, 3] of one dtype.
        mask: [B, H, W, 1], 1 = hole.

    Returns:
        [B, H, W, 3].
    """
    mask = tf.concat([mask] * image.shape[-1], axis=-1)  # phone GPU delegates select only by this shape
    return tf.where(mask > 0.5, predicted_image, image)


def hole_window(images: Sequence[tf.Tensor], mask: tf.Tensor, seed: tf.Tensor | None = None) -> list[tf.Tensor]:
    """Cut a square of half the size around the hole, moved inside the image.

    Args:
        images: [B, S, S, C] each.
        mask: float [B, S, S, 1], 1 = hole; without a hole, the window is anywhere in the image.
        seed: int tensor [2]: centre the square on a random pixel of the hole; None: on the centre of its bounding box.

    Returns:
        [B, S / 2, S / 2, C] for each of them.
    """
    size = mask.shape[1]
    middles = _middles_of_box(mask) if seed is None else tf.unstack(random_hole_pixels(mask, 1, seed)[:, 0], axis=-1)
    rows, columns = (
        tf.clip_by_value(middle - size // 4, 0, size - size // 2)[:, tf.newaxis] + tf.range(size // 2)
        for middle in middles
    )  # [B, S / 2]
    cut = [tf.gather(image, rows, axis=1, batch_dims=1) for image in images]
    turned = [tf.gather(tf.transpose(image, [0, 2, 1, 3]), columns, axis=1, batch_dims=1) for image in cut]
    return [tf.transpose(image, [0, 2, 1, 3]) for image in turned]


def _middles_of_box(mask: tf.Tensor) -> list[tf.Tensor]:
    """Return row and column of the centre of each hole's bounding box: int32 [B] each."""
    size, middles = mask.shape[1], []
    for axis in (2, 1):  # leaves the rows, then the columns
        touched = tf.reduce_max(tf.cast(mask > 0.5, tf.int32), axis=axis)[..., 0]  # [B, S]
        places = tf.range(size)
        first = tf.reduce_min(tf.where(touched > 0, places, size), axis=1)
        last = tf.reduce_max(tf.where(touched > 0, places, -1), axis=1)
        middles.append(tf.where(last >= 0, (first + last + 1) // 2, size // 2))
    return middles


def random_hole_pixels(mask: tf.Tensor, count: int, seed: tf.Tensor) -> tf.Tensor:
    """Draw pixels of each hole, uniformly and with replacement.

    Args:
        mask: float [B, H, W, 1], 1 = hole.
        count: pixels to draw in each hole, N.
        seed: int tensor [2].

    Returns:
        int32 [B, N, 2], row and column; the last pixel if there is no hole.
    """
    height, width = mask.shape[1:3]
    ends = tf.cumsum(tf.reshape(mask, [-1, height * width]), axis=1)  # [B, H * W]
    drawn = replicas.rows(lambda images: tf.random.stateless_uniform([images, count], seed), tf.shape(mask)[0])
    drawn *= ends[:, -1:]
    pixels = tf.minimum(tf.searchsorted(ends, drawn, side="right"), height * width - 1)
    return tf.stack([pixels // width, pixels % width], axis=-1)


def downsample_mask(
    mask: tf.Tensor, layers: int, method: Literal["convolution", "nearest"] = "convolution"
) -> tf.Tensor:
    """Return the mask at the size of an encoder layer.

    Args:
        mask: float [B, H, W, 1], 1 = hole; H and W are multiples of 2 ** `layers`.
        layers: how many times the size is halved.
        method: `"convolution"` (the paper and the authors' Lua code: `layers` averaging convolutions, hole where at
            least 5/16 remains) or `"nearest"` (the authors' PyTorch code: every 2 ** `layers`-th pixel).

    Returns:
        float [B, H / 2**layers, W / 2**layers, 1] of 0 and 1.
    """
    if method == "nearest":
        stride = 2**layers
        return tf.cast(mask[:, ::stride, ::stride] > 0.5, mask.dtype)
    if method != "convolution":
        raise ValueError(f'`method` must be "convolution" or "nearest". Received: {method!r}')
    for _ in range(layers):
        padded = tf.pad(mask, [[0, 0], [1, 1], [1, 1], [0, 0]])
        mask = tf.nn.avg_pool2d(padded, ksize=4, strides=2, padding="VALID")  # all sixteen weights 1/16
    return tf.cast(mask >= _THRESHOLD, mask.dtype)
