"""Scale windows of a photo to the model's size, and write the model's output back into the hole.

Windows of any size are read from a canvas and written to it in parts, so that little memory is needed besides the
canvas itself.
"""

import math
from collections.abc import Sequence
from typing import Protocol

import numpy as np

from shiftnet_tf.errors import InputError
from shiftnet_tf.masks import mask_files
from shiftnet_tf.photos.pixels import feather, reduce_image, resize_image, resize_pair, smooth
from shiftnet_tf.photos.windows import Window, bounds
from shiftnet_tf.runtime.strategies import Plan

Look = tuple[Window, Window | None]  # what the model sees; for a wider window, the crop that it belongs to
Pair = tuple[np.ndarray, np.ndarray]  # an image and its mask

_STRIP = 2**20  # pixels that are read at a time
_SIDE = 1024  # of the square that is written at a time


class Canvas(Protocol):
    """A photo that is filled in place."""

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width in pixels."""

    def read(self, window: Window) -> np.ndarray:
        """Return the pixels of a window: uint8 [h, w, 3], RGB."""

    def write(self, window: Window, pixels: np.ndarray, hole: np.ndarray) -> None:
        """Change a window to `pixels`, uint8 [h, w, 3], where `hole`, bool [h, w], is True, and nowhere else."""


def check_pair(image: object, mask: object, settings: mask_files.MaskSettings) -> Pair:
    """Return a photo and its hole as checked arrays.

    Args:
        image, mask: the caller's arrays.
        settings: how to read the mask, as for a mask file.

    Returns:
        uint8 [H, W, 3] and bool [H, W].

    Raises:
        InputError: an array of the wrong shape or dtype, a mask of another size than the photo, or one that covers all
            of it.
    """
    image, mask = np.asarray(image), np.asarray(mask)
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[-1] != 3 or 0 in image.shape:
        cure = _cure(image)
        raise InputError(f"`image` must be uint8 [H, W, 3]. Received: {image.dtype} {list(image.shape)}{cure}")
    if mask.ndim != 2 or mask.dtype.kind not in "buif":
        raise InputError(f"`mask` must be a numeric array [H, W]. Received: {mask.dtype} {list(mask.shape)}")
    if mask.shape != image.shape[:2]:
        raise InputError(
            f"the mask must have the photo's size, {image.shape[1]}x{image.shape[0]}. "
            f"Received: {mask.shape[1]}x{mask.shape[0]}"
        )
    return image, mask_files.complete_hole(mask_files.apply_threshold(mask, settings, "the mask"), settings)


def _cure(image: np.ndarray) -> str:
    """Return advice for an array that is not uint8 [H, W, 3], to end the message; "" if there is none."""
    if 0 in image.shape:
        return ""
    if image.dtype.kind == "f" and image.ndim == 3:
        darkest, lightest = float(image.min()), float(image.max())
        scale = "multiply by 255" if darkest >= 0 and lightest <= 1 else "scale it to 0 to 255"
        return f" from {darkest:.4g} to {lightest:.4g}: {scale} and convert to uint8"
    if image.ndim == 2:
        return ": pass grey as three channels, np.stack([image] * 3, axis=-1)"
    if image.ndim == 3 and image.shape[-1] == 4:
        return ": drop alpha with image[..., :3], or use inpaint_file, which keeps it"
    if image.ndim == 4:
        return ": pass one photo at a time, or use Inpainter.batch"
    return ": convert to uint8, 0 to 255" if image.ndim == 3 and image.shape[-1] == 3 else ""


class ArrayCanvas:
    """A canvas over an array, which it modifies.

    Args:
        image: uint8 [H, W, 3].
    """

    def __init__(self, image: np.ndarray) -> None:
        self.image = image
        self.shape: tuple[int, int] = image.shape[:2]

    def read(self, window: Window) -> np.ndarray:
        """Return the pixels of a window, a view: uint8 [h, w, 3]."""
        return self.image[window.slices]

    def write(self, window: Window, pixels: np.ndarray, hole: np.ndarray) -> None:
        """Change a window to `pixels`, uint8 [h, w, 3], where `hole`, bool [h, w], is True."""
        self.image[window.slices][hole] = pixels[hole]


def scale_window(canvas: Canvas, mask: np.ndarray, window: Window, size: int) -> Pair:
    """Return a window and its mask at the model's size.

    Args:
        canvas: the photo.
        mask: bool [H, W], of the whole canvas.
        window: the part of the canvas.
        size: S in pixels.

    Returns:
        uint8 [S, S, 3] with 0 in its hole, and uint8 [S, S, 1] of 0 and 1, as `pixels.resize_pair` scales them.

    Raises:
        InputError: the mask touches every pixel.
    """
    factor = min(window.height, window.width) // (2 * size)  # first reduce by means of whole cells, then resize
    if factor < 2:
        image, hole = resize_pair(canvas.read(window), mask[window.slices], size, size)
    else:
        step = max(1, _STRIP // (window.width * factor)) * factor
        image, hole = (
            np.concatenate(parts)
            for parts in zip(*(_reduce(canvas, mask, strip, factor) for strip in window.parts(step, window.width)))
        )
        box = (0, 0, window.width / factor, window.height / factor)
        image, hole = resize_pair(image, hole, size, size, box)
    if hole.all():
        raise InputError(
            f"scaled to the model's {size}x{size}, the mask touches every pixel and leaves nothing to fill it from: "
            "mark less, or pass --invert if the mask marks what to keep"
        )
    return image, hole[..., np.newaxis]


def _reduce(canvas: Canvas, mask: np.ndarray, window: Window, factor: int) -> Pair:
    """Return a strip reduced to means of factor x factor pixels, and the mask of the cells that have a hole pixel."""
    hole = mask[window.slices]
    image = reduce_image(np.where(hole[..., np.newaxis], np.uint8(0), canvas.read(window)), factor)
    rows = np.logical_or.reduceat(hole, np.arange(0, window.height, factor), axis=0)
    return image, np.logical_or.reduceat(rows, np.arange(0, window.width, factor), axis=1)


class Filling:
    """One canvas being filled: the windows that the model must see, and its outputs written into the holes.

    A pixel in several windows becomes their mean, weighted by its depth inside each. An output that was scaled up is
    blended into the surrounding pixels along the rim of the hole. A crop with wider windows gives the detail, and the
    mean of all of them the colours (what is left after a blur): that is nearer to the truth than any single one
    (docs/strategies.md).

    Args:
        canvas: the photo, which is modified.
        mask: bool [H, W].
        plan: the windows.
        size: S in pixels, of the model.

    Attributes:
        looks: the windows that the model must see, each once.
    """

    def __init__(self, canvas: Canvas, mask: np.ndarray, plan: Plan, size: int) -> None:
        self.canvas = canvas
        self.mask = mask
        self.plan = plan
        self.looks: list[Look] = []
        for window in plan.windows:
            self.looks += [(wide, window) for wide in plan.wider.get(window, ())]
            self.looks.append((window, None))
        self._size = size
        self._blind: set[Window] = set()
        self._wide: dict[Window, list[tuple[Window, np.ndarray]]] = {}  # of a crop, until its own answer comes
        self._weights: np.ndarray | None = None
        if len(plan.windows) > 1:
            self._weights = np.zeros(canvas.shape, np.float32)  # uses memory only where it is written

    def read(self, look: Look) -> Pair:
        """Return the pixels of a look, see `scale_window`; those of its crop if a wider window has no known pixel."""
        window, crop = look
        try:
            return scale_window(self.canvas, self.mask, window, self._size)
        except InputError:
            if crop is None:
                raise
            self._blind.add(window)
            return scale_window(self.canvas, self.mask, crop, self._size)

    def put(self, look: Look, answer: np.ndarray) -> None:
        """Write the model's output for a look.

        Args:
            look: one of `looks`, in their order.
            answer: uint8 [S, S, 3].
        """
        window, crop = look
        if crop is not None:
            if window not in self._blind:
                self._wide.setdefault(crop, []).append((window, answer))
            return
        wide = self._wide.pop(window, ())
        hole = bounds(self.mask[window.slices])
        if hole is None:
            return
        hole = Window(window.top + hole.top, window.left + hole.left, hole.height, hole.width)
        for part in hole.parts(_SIDE, _SIDE):
            where = self.mask[part.slices]
            if wide:
                pixels = self._colour(window, answer, wide, part, hole)
            else:
                pixels = self._enlarge(window, answer, part)
            if self._weights is not None:
                pixels = self._blend(self._weights[part.slices], window, part, pixels, where)
            self.canvas.write(part, pixels, where)

    def _colour(
        self, window: Window, answer: np.ndarray, wide: Sequence[tuple[Window, np.ndarray]], part: Window, hole: Window
    ) -> np.ndarray:
        radius = max(hole.height, hole.width) // 12
        around = part.grown(2 * radius, 2 * radius, hole)  # only the hole is blurred
        detail = self._enlarge(window, answer, around).astype(np.float32)
        others = sum(self._enlarge(*each, around).astype(np.float32) for each in wide)
        lack = (others + detail) / (len(wide) + 1) - detail  # the mean of all looks, minus this one
        colours = smooth(lack, self.mask[around.slices], (radius, radius))
        levels: np.ndarray = np.clip(np.round(detail + colours), 0, 255)
        return levels.astype(np.uint8)[part.within(around).slices]

    def _enlarge(self, window: Window, answer: np.ndarray, part: Window) -> np.ndarray:
        size = answer.shape[0]
        if (window.height, window.width) == (size, size):
            return answer[part.within(window).slices]
        rows, columns = window.height / size, window.width / size
        radius = math.ceil(rows), math.ceil(columns)
        around = part.grown(3 * radius[0] + 2, 3 * radius[1] + 2, window)  # context for the filter and the feather
        inner = around.within(window)
        box = (inner.left / columns, inner.top / rows, inner.right / columns, inner.bottom / rows)
        pixels = resize_image(answer, around.height, around.width, box=box)
        if max(rows, columns) > 1:
            pixels = feather(pixels, self.canvas.read(around), self.mask[around.slices], radius)
        return pixels[part.within(around).slices]

    def _blend(
        self, weights: np.ndarray, window: Window, part: Window, pixels: np.ndarray, where: np.ndarray
    ) -> np.ndarray:
        """Return the weighted mean of the canvas and `pixels`; add the new weights to `weights`, those of the part."""
        new = self._depth(window, part) * where
        if weights.any():
            before = self.canvas.read(part).astype(np.float32)
            share = new / np.maximum(weights + new, 1e-12)
            mean = before + (pixels - before) * np.where(weights > 0, share, 1)[..., np.newaxis]
            pixels = np.round(mean).astype(np.uint8)
        weights += new
        return pixels

    def _depth(self, window: Window, part: Window) -> np.ndarray:
        """Return the depth of each pixel of a part inside the window, in (0, 1]; photo borders are ignored."""

        def along(start: int, length: int, low: int, size: int, limit: int) -> np.ndarray:
            x = np.arange(start, start + length) + 0.5 - low
            from_low = x if low > 0 else np.full_like(x, size)
            from_high = size - x if low + size < limit else np.full_like(x, size)
            return np.minimum(np.minimum(from_low, from_high) / (size / 2), 1) ** 2

        rows = along(part.top, part.height, window.top, window.height, self.canvas.shape[0])
        columns = along(part.left, part.width, window.left, window.width, self.canvas.shape[1])
        return np.outer(rows, columns).astype(np.float32)
