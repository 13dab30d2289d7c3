"""Images as arrays: ranges, scaling, compositing.

Here an image is uint8 [H, W, 3] RGB and a mask uint8 [H, W], 1 = hole. Inside the networks an image is float32 in [-1,
1]; the exported graphs take and return uint8, so that no caller needs to know. Scaling never mixes hole and known
pixels: content under the mask cannot reach the result.
"""

from typing import Any

import numpy as np
from PIL import Image

Box = tuple[float, float, float, float]  # left, top, right, bottom


def resize_image(
    image: np.ndarray,
    height: int,
    width: int,
    resample: Image.Resampling = Image.Resampling.BICUBIC,
    box: Box | None = None,
) -> np.ndarray:
    """Scale an image, with antialiasing if it shrinks.

    Args:
        image: uint8 [H, W, 3].
        height, width: pixels.
        resample: the filter.
        box: the part to scale, in pixels; None for all.

    Returns:
        uint8 [height, width, 3].
    """
    if image.shape[:2] == (height, width):
        return image
    return np.array(Image.fromarray(image).resize((width, height), resample, box))


def resize_mask(mask: np.ndarray, height: int, width: int, box: Box | None = None) -> np.ndarray:
    """Scale a mask; each pixel to which a hole pixel contributes is hole.

    Args:
        mask: [H, W], nonzero = hole.
        height, width: pixels.
        box: the part to scale, in pixels; None for all.

    Returns:
        uint8 [height, width] of 0 and 1.
    """
    hole: np.ndarray = (mask != 0).astype(np.float32)
    if hole.shape != (height, width):
        # Bilinear weights are never negative, and in float32 none is rounded to nothing.
        hole = np.array(Image.fromarray(hole).resize((width, height), Image.Resampling.BILINEAR, box))
    return (hole > 0).astype(np.uint8)


def resize_pair(
    image: np.ndarray, mask: np.ndarray, height: int, width: int, box: Box | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Scale a photo and its mask without mixing hole and known pixels.

    The hole is set to 0 first, which removes its content. A scaled pixel to which a hole pixel contributes is hole;
    every other is a weighted mean of known pixels only (their weights sum to one, so that normalising by the known
    share would change nothing).

    Args:
        image: uint8 [H, W, 3].
        mask: [H, W], nonzero = hole.
        height, width: pixels.
        box: the part to scale, in pixels; None for all.

    Returns:
        (image uint8 [height, width, 3] with 0 in its hole, mask uint8 [height, width] of 0 and 1).
    """
    mask = (mask != 0).astype(np.uint8)
    clean = np.where(mask[..., None], np.uint8(0), image)
    small_mask = resize_mask(mask, height, width, box)
    small = resize_image(clean, height, width, Image.Resampling.BILINEAR, box)
    return np.where(small_mask[..., None], np.uint8(0), small), small_mask


def to_unit(levels: Any) -> Any:
    """Scale grey levels, 0 .. 255, to the range of the networks, -1 .. 1.

    Args:
        levels: float array or tensor (not annotated: this module runs without TensorFlow).

    Returns:
        The same kind.
    """
    return levels / 127.5 - 1.0


def to_levels(image: Any) -> Any:
    """Scale the range of the networks, -1 .. 1, to grey levels, 0 .. 255, neither rounded nor clipped.

    Args:
        image: float array or tensor.

    Returns:
        The same kind.
    """
    return (image + 1.0) * 127.5


def from_float(image: np.ndarray) -> np.ndarray:
    """Convert an image from the range of the networks to uint8.

    Args:
        image: float array [H, W, 3] in [-1, 1].

    Returns:
        uint8 [H, W, 3].
    """
    levels: np.ndarray = np.clip(np.round(to_levels(image)), 0, 255)
    return levels.astype(np.uint8)


def composite(filled: np.ndarray, image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Take the hole from the filled image and the rest from the photo, by selection: known pixels do not change.

    Args:
        filled, image: uint8 [H, W, 3].
        mask: [H, W], nonzero = hole.

    Returns:
        uint8 [H, W, 3].
    """
    return np.where((mask != 0)[..., None], filled, image)


def reduce_image(image: np.ndarray, factor: int) -> np.ndarray:
    """Return the means of cells of factor x factor pixels; cells at the right and lower edge may be smaller.

    Args:
        image: uint8 [H, W, 3].
        factor: side of a cell in pixels.

    Returns:
        uint8 [ceil(H / factor), ceil(W / factor), 3].
    """
    return np.array(Image.fromarray(image).reduce(factor))


def feather(filled: np.ndarray, image: np.ndarray, mask: np.ndarray, radius: tuple[int, int]) -> np.ndarray:
    """Blend the rim of a filled hole into the surrounding pixels, so that no seam shows.

    The difference between the photo and the filled image at nearby known pixels, averaged by two boxes, is added in the
    hole; it falls to 0 at a depth of twice the radius.

    Args:
        filled: uint8 [H, W, 3], exact in no pixel.
        image: uint8 [H, W, 3], exact where the mask is 0.
        mask: [H, W], nonzero = hole.
        radius: rows and columns.

    Returns:
        uint8 [H, W, 3]; valid only in the hole.
    """
    known = (mask == 0).astype(np.float32)[..., np.newaxis]
    lack = (image.astype(np.float32) - filled) * known
    near, share = (_box_mean(_box_mean(x, radius), radius) for x in (lack, known))
    # `share` is a half at a straight edge and falls to 0 at twice the radius
    correction = near / np.maximum(share, 1e-6) * np.minimum(1, 2 * share)
    levels: np.ndarray = np.clip(np.round(filled + correction), 0, 255)
    return levels.astype(np.uint8)


def smooth(values: np.ndarray, mask: np.ndarray, radius: tuple[int, int]) -> np.ndarray:
    """Blur the values in the hole, ignoring those outside it, by a box mean applied twice.

    Args:
        values: float [H, W, C].
        mask: [H, W], nonzero = hole.
        radius: rows and columns.

    Returns:
        float32 [H, W, C]; valid only in the hole.
    """
    hole = (mask != 0).astype(np.float32)[..., np.newaxis]
    near, share = (_box_mean(_box_mean(x, radius), radius) for x in (values * hole, hole))
    mean: np.ndarray = near / np.maximum(share, 1e-6)
    return mean


def _box_mean(x: np.ndarray, radius: tuple[int, int]) -> np.ndarray:
    """Return the mean of a box of `radius` (rows, columns) on each side of each pixel, zeros outside: [H, W, C]."""
    for axis, reach in zip((0, 1), radius):
        n = x.shape[axis]
        sums = np.insert(np.cumsum(x, axis=axis, dtype=np.float64), 0, 0, axis=axis)
        high, low = np.minimum(np.arange(n) + reach + 1, n), np.maximum(np.arange(n) - reach, 0)
        x = ((np.take(sums, high, axis) - np.take(sums, low, axis)) / (2 * reach + 1)).astype(np.float32)
    return x
