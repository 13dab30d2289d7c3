"""Which pixels of a mask are hole: one rule for mask files, arrays and requests; and growing a hole."""

import math

import numpy as np

from shiftnet_tf.errors import InputError

_SHARE = 0.01  # share of pixels that may be grey without a note
_MOST = 0.5  # share of pixels that may be grey anywhere
_RIM = 16  # pixels on each side of an edge that may be grey: two JPEG blocks, or a soft brush


def find_hole(levels: np.ndarray, threshold: int | None = None) -> np.ndarray:
    """Return which pixels of a mask are hole: those that are lighter than the middle of its range.

    The range is the smallest of 0 to 1, 0 to 255 and 0 to 65535 that holds all levels. A pixel is hole if it is True,
    above 0.5 when no level is above 1, above 127 of 255, or above 32767 of 65535. All masks are read this way: lossless
    and lossy files, arrays, forms and JSON. For colours, the lightest channel counts.

    Args:
        levels: bool or numbers [H, W].
        threshold: 0 to 255, replaces the middle: a pixel is hole if it is above this many 255ths of white. White is
            255, or 65535 if a level is above 255, or 1 for floats if none is above 1.

    Returns:
        bool [H, W].

    Raises:
        InputError: a level is NaN or infinite.
    """
    if levels.dtype == bool:
        return levels
    white = _white(levels)
    if threshold is None:
        return _above(levels, white / 2)
    return _above(levels, threshold * (255 if white == 1 and levels.dtype.kind != "f" else white) / 255)


def doubt(levels: np.ndarray, hole: np.ndarray) -> str:
    """Return a sentence if a mask may mean another hole than the middle of its range gives, else "".

    That is so if nothing is above the middle but something is above black; if more than 1 % of the pixels are strictly
    between the darkest and the lightest level and further from the edge of the hole than a soft or lossy edge reaches
    (16 pixels, or 1 % of the longer side), as with paint in several greys; or if more than half of the pixels are in
    between, as with noise or a photo passed as a mask.

    Args:
        levels: see `find_hole`.
        hole: the hole that it returned.
    """
    if levels.dtype == bool:
        return ""
    white, darkest, lightest = _white(levels), levels.min().item(), levels.max().item()
    if not hole.any():
        if lightest <= 0:
            return ""
        return (
            f"nothing in the mask is lighter than the middle of its range, 0 to {white}; its lightest level is "
            f"{lightest:.4g}: pass --threshold N, such as 0, to fill what is lighter than N of 255"
        )
    step = white / 510  # half a level of 8 bits
    between = _above(levels, darkest + step) & ~_above(levels, lightest - step)
    if _SHARE < between.mean() <= _MOST:
        rim = max(_RIM, max(levels.shape) // 100)
        between &= ~(dilate(hole, rim) & dilate(~hole, rim))
    share = float(between.mean())
    if share <= _SHARE:
        return ""
    return (
        f"{percent(share)} of the mask is grey, neither its darkest nor its lightest level; what is lighter than the "
        "middle is filled: pass --threshold N, 0 to 255, for another level"
    )


def percent(share: float) -> str:
    """Return a share of the pixels for a message, such as `"4.2 %"`."""
    return f"{100 * share:.1f} %" if share >= 0.0005 or share == 0 else "less than 0.1 %"


def dilate(hole: np.ndarray, pixels: int) -> np.ndarray:
    """Grow a hole by a number of pixels on each side, with a square, as most programs do.

    Args:
        hole: bool [H, W].
        pixels: how far it grows to each side.

    Returns:
        bool [H, W].
    """
    for axis in (0, 1):
        left = pixels
        reach = 1
        while left:  # growing by 1, 2, 4, ... takes one step per binary digit
            step = min(reach, left)
            grown = hole.copy()
            low, high = [slice(None)] * 2, [slice(None)] * 2
            low[axis], high[axis] = slice(None, -step), slice(step, None)
            grown[tuple(low)] |= hole[tuple(high)]
            grown[tuple(high)] |= hole[tuple(low)]
            hole, left, reach = grown, left - step, 2 * step + 1
    return hole


def _white(levels: np.ndarray) -> int:
    darkest, lightest = float(levels.min()), float(levels.max())  # NaN if any level is
    if not (math.isfinite(darkest) and math.isfinite(lightest)):
        raise InputError(f"the levels of the mask must be finite numbers. Received: {darkest} to {lightest}")
    return next((white for white in (1, 255) if lightest <= white), 65535)


def _above(levels: np.ndarray, limit: float) -> np.ndarray:
    above: np.ndarray = levels > (limit if levels.dtype.kind == "f" else math.floor(limit))  # ints compare in place
    return above
