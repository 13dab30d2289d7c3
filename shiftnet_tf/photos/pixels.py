"""Pictures as arrays: ranges, scaling, compositing. The only place that knows them.

Here an image is uint8 [H, W, 3] RGB and a mask uint8 [H, W], 1 = hole. Inside the networks an image is
float32 in [-1, 1]; the exported graphs take and give uint8, so that no caller needs to know that.
Scaling never mixes hole and known pixels: what lies under the mask cannot reach the answer.
"""

import numpy as np
from PIL import Image


def resize_image(image, height, width, resample=Image.Resampling.BICUBIC, box=None):
    """Scales a picture, with antialiasing where it shrinks.

    Args:
        image: uint8 [H, W, 3].
        height, width: int, pixels.
        resample: a Pillow filter. Defaults to bicubic.
        box: (left, top, right, bottom), floats, the part that is scaled; None for all.

    Returns:
        uint8 [height, width, 3].
    """
    if image.shape[:2] == (height, width):
        return image
    return np.array(Image.fromarray(image).resize((width, height), resample, box))


def resize_mask(mask, height, width, box=None):
    """Scales a mask so that each pixel that a hole pixel has touched is hole.

    Args:
        mask: [H, W], nonzero = hole.
        height, width: int, pixels.
        box: (left, top, right, bottom), floats, the part that is scaled; None for all.

    Returns:
        uint8 [height, width] of 0 and 1.
    """
    hole = (mask != 0).astype(np.float32)
    if hole.shape != (height, width):
        # Bilinear weights are never negative, and in float32 none is rounded to nothing.
        hole = np.array(Image.fromarray(hole).resize((width, height), Image.Resampling.BILINEAR, box))
    return (hole > 0).astype(np.uint8)


def resize_pair(image, mask, height, width, box=None):
    """Scales a photo and its mask without mixing hole and known pixels.

    The hole is set to 0 first, so that what lies under it is gone; a scaled pixel that a hole pixel touched is
    hole, and every other is the plain weighted mean of known pixels only (their weights sum to one, so that
    the normalised form, image times known over known, is the same number).

    Args:
        image: uint8 [H, W, 3].
        mask: [H, W], nonzero = hole.
        height, width: int, pixels.
        box: (left, top, right, bottom), floats, the part that is scaled; None for all.

    Returns:
        (image uint8 [height, width, 3] with 0 in its hole, mask uint8 [height, width] of 0 and 1).
    """
    mask = (mask != 0).astype(np.uint8)
    clean = np.where(mask[..., None], np.uint8(0), image)
    small_mask = resize_mask(mask, height, width, box)
    small = resize_image(clean, height, width, Image.Resampling.BILINEAR, box)
    return np.where(small_mask[..., None], np.uint8(0), small), small_mask


def to_unit(levels):
    """From grey levels to the networks' range: 0 .. 255 to -1 .. 1.

    Args:
        levels: float array or tensor.

    Returns:
        The same kind.
    """
    return levels / 127.5 - 1.0


def to_levels(image):
    """From the networks' range to grey levels, neither rounded nor clipped: -1 .. 1 to 0 .. 255.

    Args:
        image: float array or tensor.

    Returns:
        The same kind.
    """
    return (image + 1.0) * 127.5


def from_float(image):
    """From the networks' range to a picture.

    Args:
        image: float array [H, W, 3] in [-1, 1].

    Returns:
        uint8 [H, W, 3].
    """
    return np.clip(np.round(to_levels(image)), 0, 255).astype(np.uint8)


def composite(filled, image, mask):
    """The filled picture in the hole, the photo elsewhere, by selection: known pixels stay bit for bit.

    Args:
        filled, image: uint8 [H, W, 3].
        mask: [H, W], nonzero = hole.

    Returns:
        uint8 [H, W, 3].
    """
    return np.where((mask != 0)[..., None], filled, image)


def reduce_image(image, factor):
    """Means of cells of factor x factor pixels; those at the right and the lower edge may be smaller.

    Args:
        image: uint8 [H, W, 3].
        factor: int.

    Returns:
        uint8 [ceil(H / factor), ceil(W / factor), 3].
    """
    return np.array(Image.fromarray(image).reduce(factor))


def feather(filled, image, mask, radius):
    """Draws the rim of a filled hole to the known pixels beside it, so that no seam shows.

    What the filled picture lacks at the known pixels near by, a mean of two boxes, is added in the hole, less the
    deeper in it: nothing past twice the radius.

    Args:
        filled: uint8 [H, W, 3], right in no pixel.
        image: uint8 [H, W, 3], right where the mask is 0.
        mask: [H, W], nonzero = hole.
        radius: (int, int), rows and columns.

    Returns:
        uint8 [H, W, 3]; to be used in the hole alone.
    """
    known = (mask == 0).astype(np.float32)[..., np.newaxis]
    lack = (image.astype(np.float32) - filled) * known
    near, share = (_box_mean(_box_mean(x, radius), radius) for x in (lack, known))
    # `share` is a half at a straight edge and falls to 0 at twice the radius
    correction = near / np.maximum(share, 1e-6) * np.minimum(1, 2 * share)
    return np.clip(np.round(filled + correction), 0, 255).astype(np.uint8)


def smooth(values, mask, radius):
    """Blurs what lies in the hole by what lies in the hole alone: twice a mean of boxes.

    Args:
        values: float [H, W, C].
        mask: [H, W], nonzero = hole.
        radius: (int, int), rows and columns.

    Returns:
        float32 [H, W, C]; outside the hole without a meaning.
    """
    hole = (mask != 0).astype(np.float32)[..., np.newaxis]
    near, share = (_box_mean(_box_mean(x, radius), radius) for x in (values * hole, hole))
    return near / np.maximum(share, 1e-6)


def _box_mean(x, radius):
    """Mean of the box of `radius` (rows, columns) to each side of each pixel, zeros outside: [H, W, C]."""
    for axis, reach in zip((0, 1), radius):
        n = x.shape[axis]
        sums = np.insert(np.cumsum(x, axis=axis, dtype=np.float64), 0, 0, axis=axis)
        high, low = np.minimum(np.arange(n) + reach + 1, n), np.maximum(np.arange(n) - reach, 0)
        x = ((np.take(sums, high, axis) - np.take(sums, low, axis)) / (2 * reach + 1)).astype(np.float32)
    return x
