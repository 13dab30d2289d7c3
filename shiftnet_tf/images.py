"""Pictures as arrays: ranges, scaling, compositing. The only place that knows them.

Here an image is uint8 [H, W, 3] RGB and a mask uint8 [H, W], 1 = hole. Inside the networks an image is
float32 in [-1, 1]; the exported graphs take and give uint8, so that no caller needs to know that.
Scaling never mixes hole and known pixels: what lies under the mask cannot reach the answer.
"""

import numpy as np
from PIL import Image


def resize_image(image, height, width, resample=Image.Resampling.BICUBIC):
    """Scales a picture, with antialiasing where it shrinks.

    Args:
        image: uint8 [H, W, 3].
        height, width: int, pixels.
        resample: a Pillow filter. Defaults to bicubic.

    Returns:
        uint8 [height, width, 3].
    """
    if image.shape[:2] == (height, width):
        return image
    return np.array(Image.fromarray(image).resize((width, height), resample))


def resize_mask(mask, height, width):
    """Scales a mask so that each pixel that a hole pixel has touched is hole.

    Args:
        mask: [H, W], nonzero = hole.
        height, width: int, pixels.

    Returns:
        uint8 [height, width] of 0 and 1.
    """
    hole = (mask != 0).astype(np.float32)
    if hole.shape != (height, width):
        # Bilinear weights are never negative, and in float32 none is rounded to nothing.
        hole = np.array(Image.fromarray(hole).resize((width, height), Image.Resampling.BILINEAR))
    return (hole > 0).astype(np.uint8)


def resize_pair(image, mask, height, width):
    """Scales a photo and its mask without mixing hole and known pixels.

    The hole is set to 0 first, so that what lies under it is gone; a scaled pixel that a hole pixel touched is
    hole, and every other is the plain weighted mean of known pixels only (their weights sum to one, so that
    the normalised form, image times known over known, is the same number).

    Args:
        image: uint8 [H, W, 3].
        mask: [H, W], nonzero = hole.
        height, width: int, pixels.

    Returns:
        (image uint8 [height, width, 3] with 0 in its hole, mask uint8 [height, width] of 0 and 1).
    """
    mask = (mask != 0).astype(np.uint8)
    clean = np.where(mask[..., None], np.uint8(0), image)
    small_mask = resize_mask(mask, height, width)
    small = resize_image(clean, height, width, Image.Resampling.BILINEAR)
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


def composite(image, filled, mask):
    """The filled picture in the hole, the photo elsewhere, by selection: known pixels stay bit for bit.

    Args:
        image, filled: uint8 [H, W, 3].
        mask: [H, W], nonzero = hole.

    Returns:
        uint8 [H, W, 3].
    """
    return np.where((mask != 0)[..., None], filled, image)
