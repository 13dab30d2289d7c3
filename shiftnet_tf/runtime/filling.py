"""From a window of a photo to the model's size, and the model's answer back into the hole.

Windows of any size are read from a canvas and written to it in parts, so that beside the canvas itself hardly any
memory is needed.
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

Look = tuple[Window, Window | None]  # what the model sees; of a wider window, the crop that it is for
Pair = tuple[np.ndarray, np.ndarray]  # a picture and its mask

_STRIP = 2**20  # pixels that are read at a time
_SIDE = 1024  # of the square that is written at a time


class Canvas(Protocol):
    """What is filled."""

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width in pixels."""

    def read(self, window: Window) -> np.ndarray:
        """Return the pixels of a window: uint8 [h, w, 3], RGB."""

    def write(self, window: Window, pixels: np.ndarray, hole: np.ndarray) -> None:
        """Change a window to `pixels`, uint8 [h, w, 3], where `hole`, bool [h, w], is True, and nowhere else."""


def check_pair(image: object, mask: object, settings: mask_files.MaskSettings) -> Pair:
    """Return a photo and its hole as arrays, or raise what is wrong with them.

    Args:
        image, mask: what came from outside.
        settings: how the mask is read, as if it came from a file.

    Returns:
        uint8 [H, W, 3] and bool [H, W].

    Raises:
        InputError: arrays of another kind, a mask of another size or one that covers everything.
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
    """Return what to do with an array that is no uint8 [H, W, 3], for the message; "" where it is not clear."""
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
    """A canvas on an array, which it changes.

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
    """Return a window as the model takes it.

    Args:
        canvas: what the window is read from.
        mask: bool [H, W], of the whole canvas.
        window: the part of the canvas.
        size: S in pixels.

    Returns:
        uint8 [S, S, 3] with 0 in its hole, and uint8 [S, S, 1] of 0 and 1, as `pixels.resize_pair` scales them.

    Raises:
        InputError: the mask touches every pixel.
    """
    factor = min(window.height, window.width) // (2 * size)  # by which the mean of whole cells comes before all else
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
    """Return a strip with means of cells of factor x factor pixels, and a mask of the cells that have a hole pixel."""
    hole = mask[window.slices]
    image = reduce_image(np.where(hole[..., np.newaxis], np.uint8(0), canvas.read(window)), factor)
    rows = np.logical_or.reduceat(hole, np.arange(0, window.height, factor), axis=0)
    return image, np.logical_or.reduceat(rows, np.arange(0, window.width, factor), axis=1)


class Filling:
    """The filling of one canvas: what the model has to look at, and its answers put into the holes.

    What several windows fill is their mean, weighted by how deep inside each it lies. Where an answer was scaled up,
    its rim within the hole is drawn to the known pixels beside it. Of a crop and its wider windows the detail is
    the crop's and the colours, what is left after a blur, are the mean of all: that is nearer to the truth than any
    (docs/strategies.md).

    Args:
        canvas: what is filled; it is changed.
        mask: bool [H, W].
        plan: the windows.
        size: S in pixels, of the model.

    Attributes:
        looks: what the model has to see, each once.
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
            self._weights = np.zeros(canvas.shape, np.float32)  # takes memory only where it is written

    def read(self, look: Look) -> Pair:
        """Return a look, see `scale_window`; for a wider one without any known pixel that of its crop."""
        window, crop = look
        try:
            return scale_window(self.canvas, self.mask, window, self._size)
        except InputError:
            if crop is None:
                raise
            self._blind.add(window)
            return scale_window(self.canvas, self.mask, crop, self._size)

    def put(self, look: Look, answer: np.ndarray) -> None:
        """Write the model's answer to a look.

        Args:
            look: of `looks`, in their order.
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
        around = part.grown(2 * radius, 2 * radius, hole)  # what is blurred is the hole alone
        detail = self._enlarge(window, answer, around).astype(np.float32)
        others = sum(self._enlarge(*each, around).astype(np.float32) for each in wide)
        lack = (others + detail) / (len(wide) + 1) - detail  # the mean of all looks, less this one
        colours = smooth(lack, self.mask[around.slices], (radius, radius))
        levels: np.ndarray = np.clip(np.round(detail + colours), 0, 255)
        return levels.astype(np.uint8)[part.within(around).slices]

    def _enlarge(self, window: Window, answer: np.ndarray, part: Window) -> np.ndarray:
        size = answer.shape[0]
        if (window.height, window.width) == (size, size):
            return answer[part.within(window).slices]
        rows, columns = window.height / size, window.width / size
        radius = math.ceil(rows), math.ceil(columns)
        around = part.grown(3 * radius[0] + 2, 3 * radius[1] + 2, window)  # what filter and feather look at beside it
        inner = around.within(window)
        box = (inner.left / columns, inner.top / rows, inner.right / columns, inner.bottom / rows)
        pixels = resize_image(answer, around.height, around.width, box=box)
        if max(rows, columns) > 1:
            pixels = feather(pixels, self.canvas.read(around), self.mask[around.slices], radius)
        return pixels[part.within(around).slices]

    def _blend(
        self, weights: np.ndarray, window: Window, part: Window, pixels: np.ndarray, where: np.ndarray
    ) -> np.ndarray:
        """Return the mean of what is there and of `pixels`; add the new weights to `weights`, those of the part."""
        new = self._depth(window, part) * where
        if weights.any():
            before = self.canvas.read(part).astype(np.float32)
            share = new / np.maximum(weights + new, 1e-12)
            mean = before + (pixels - before) * np.where(weights > 0, share, 1)[..., np.newaxis]
            pixels = np.round(mean).astype(np.uint8)
        weights += new
        return pixels

    def _depth(self, window: Window, part: Window) -> np.ndarray:
        """Return how deep each pixel of a part lies in the window, in (0, 1]; photo borders are ignored."""

        def along(start: int, length: int, low: int, size: int, limit: int) -> np.ndarray:
            x = np.arange(start, start + length) + 0.5 - low
            from_low = x if low > 0 else np.full_like(x, size)
            from_high = size - x if low + size < limit else np.full_like(x, size)
            return np.minimum(np.minimum(from_low, from_high) / (size / 2), 1) ** 2

        rows = along(part.top, part.height, window.top, window.height, self.canvas.shape[0])
        columns = along(part.left, part.width, window.left, window.width, self.canvas.shape[1])
        return np.outer(rows, columns).astype(np.float32)
