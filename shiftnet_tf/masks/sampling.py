"""Masks: uint8 [H, W], 1 = hole (missing), 0 = known.

The shapes that a network is trained on: the paper's centre hole, a random rectangle, free-form strokes (a few thick
random poly-lines: DeepFill v2, arXiv 1806.03589; half of the masks with the wide strokes of LaMa: Suvorov et al., WACV
2022, arXiv 2109.07161), outlines of real objects, and the user's own mask files. `MaskSampler` draws from a weighted
mix of them. Each random function takes `size`, height and width in pixels, and a `numpy.random.Generator`, and returns
uint8 [size, size]: a mask is a pure function of its seed.
"""

import functools
import json
import math
import os
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from shiftnet_tf.errors import InputError
from shiftnet_tf.masks import mask_files
from shiftnet_tf.photos import finding, pixels

# Free-form holes smaller or larger than these shares of the image are no use for training.
_FREEFORM_SHARE = (0.02, 0.6)

# The smallest and the largest width of a stroke, as divisors of the image size.
_STROKE, _WIDE_STROKE = (20, 7), (10, 4)


def center(size: int, overlap: int = 4) -> np.ndarray:
    """Return the paper's centre hole: half the image wide, less `overlap` pixels at each side.

    Args:
        size: height and width of the mask in pixels.
        overlap: known pixels kept along each side of the half-wide square.

    Returns:
        uint8 [size, size]; 120 x 120 ones at rows and columns 68 to 187 for size 256.
    """
    mask = np.zeros((size, size), np.uint8)
    start, end = size // 4 + overlap, size // 4 + size // 2 - overlap
    mask[start:end, start:end] = 1
    return mask


def rectangle(size: int, rng: np.random.Generator) -> np.ndarray:
    """Draw one rectangle, each side between an eighth and a half of the image, anywhere inside it."""
    height, width = rng.integers(size // 8, size // 2, size=2, endpoint=True)
    top = rng.integers(0, size - height, endpoint=True)
    left = rng.integers(0, size - width, endpoint=True)
    mask = np.zeros((size, size), np.uint8)
    mask[top : top + height, left : left + width] = 1
    return mask


def _stroke(draw: ImageDraw.ImageDraw, size: int, rng: np.random.Generator, widths: tuple[int, int] = _STROKE) -> None:
    """Draw one poly-line with round joints: the path of a brush that turns at each vertex."""
    width = int(rng.uniform(size / widths[0], size / widths[1]))
    x, y = rng.uniform(0, size, 2)
    angle = rng.uniform(0, 2 * math.pi)
    points = [(x, y)]
    for _ in range(rng.integers(3, 10)):
        angle += rng.uniform(-1, 1) * 0.6 * math.pi
        length = rng.uniform(size / 16, size / 4)
        x = min(max(x + length * math.cos(angle), 0), size)
        y = min(max(y + length * math.sin(angle), 0), size)
        points.append((x, y))
    draw.line(points, fill=1, width=width)
    for x, y in points:
        draw.ellipse((x - width / 2, y - width / 2, x + width / 2, y + width / 2), fill=1)


def freeform(size: int, rng: np.random.Generator) -> np.ndarray:
    """Draw random strokes that cover 2 to 60 % of the image.

    Half of the masks have one to eight strokes, each 1/20 to 1/7 of the image wide. The others have one to four
    strokes, each 1/10 to 1/4 of the image wide.
    """
    widths, most = (_WIDE_STROKE, 4) if rng.random() < 0.5 else (_STROKE, 8)
    while True:
        canvas = Image.new("L", (size, size))
        draw = ImageDraw.Draw(canvas)
        for _ in range(rng.integers(1, most, endpoint=True)):
            _stroke(draw, size, rng, widths)
        mask = np.array(canvas)
        if _FREEFORM_SHARE[0] <= mask.mean() <= _FREEFORM_SHARE[1]:
            return mask


def freeform_of_share(size: int, rng: np.random.Generator, least: float, most: float) -> np.ndarray:
    """Draw strokes, each 1/20 to 1/7 of the image wide, until they cover between two shares of the image.

    `training/evaluate.py --masks freeform:SEED` draws these masks: the same seed must always give the same mask.

    Args:
        size: height and width of the mask in pixels.
        rng: source of the random numbers.
        least, most: shares of the image; `most` should be at least 0.1 above `least`, or drawing may take long.

    Returns:
        uint8 [size, size].
    """
    while True:
        canvas = Image.new("L", (size, size))
        draw = ImageDraw.Draw(canvas)
        share = 0.0
        while share < max(least, _FREEFORM_SHARE[0]):
            _stroke(draw, size, rng)
            share = float(np.array(canvas).mean())
        if share < most:
            return np.array(canvas)


@functools.cache
def _outlines() -> tuple[np.ndarray, ...]:
    """Read the outline of each object: float64 [N, 2], x and y; the longer side of the bounding box is 1."""
    things = json.loads(Path(__file__).with_name("object_outlines.json").read_text("utf-8"))
    return tuple(np.array(thing["points"]) for thing in things)


def _fill_outline(points: np.ndarray, margin: int) -> Image.Image:
    """Fill the polygon of `points`, float [N, 2] in pixels, and paint along its edge with a round brush.

    The brush paints `margin` pixels on each side. The result, an image of mode L with ones in the shape, fits the shape
    with one pixel to spare on each side, wherever the points are.
    """
    points = np.round(points - points.min(axis=0)) + margin + 1
    width, height = (int(side) + margin + 2 for side in points.max(axis=0))
    canvas = Image.new("L", (width, height))
    draw = ImageDraw.Draw(canvas)
    corners = [(float(x), float(y)) for x, y in points]
    draw.polygon(corners, fill=1)
    draw.line([*corners, corners[0]], fill=1, width=2 * margin + 1)
    for x, y in corners:
        draw.ellipse((x - margin, y - margin, x + margin, y + margin), fill=1)
    return canvas


def _object(size: int, rng: np.random.Generator) -> np.ndarray:
    """Transform one outline and place it in the image, as `objects` says; uint8 [size, size]."""
    outlines = _outlines()
    points = outlines[rng.integers(len(outlines))] * (rng.choice([-1, 1]) * rng.uniform(0.85, 1.15), 1)
    angle = math.radians(rng.uniform(-20, 20))
    points = points @ [[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]]
    points *= rng.uniform(size / 4, size * 5 / 8) / np.ptp(points, axis=0).max()
    shape = _fill_outline(points, max(1, round(rng.uniform(1, 6) * size / 256)))
    while True:  # the image border may cut off a quarter of the width or height, and a quarter of the area
        left, top = (rng.integers(-(side // 4), size - side + side // 4, endpoint=True) for side in shape.size)
        canvas = Image.new("L", (size, size))
        canvas.paste(shape, (int(left), int(top)))
        mask = np.array(canvas)
        if mask.sum() >= 0.75 * np.array(shape).sum():
            return mask


def objects(size: int, rng: np.random.Generator) -> np.ndarray:
    """Draw the outline of a real object, such as an animal, a plant or a tower; one mask in four has two of them.

    Each outline is mirrored half the time, stretched by up to 15 %, turned by up to 20 degrees, scaled to a longer side
    of 1/4 to 5/8 of the image, and enlarged by 1 to 6 pixels at size 256, since users brush generously. At least three
    quarters of it is inside the image. The outlines, polygons drawn over photos, are in `object_outlines.json`.
    """
    mask = _object(size, rng)
    return mask | _object(size, rng) if rng.random() < 0.25 else mask


def from_file(path: str | os.PathLike[str], height: int, width: int) -> np.ndarray:
    """Read a mask file and scale it; each pixel to which a hole pixel contributes is hole.

    Args:
        path: the mask file.
        height, width: pixels.

    Returns:
        uint8 [height, width].

    Raises:
        InputError: it cannot be read, or it covers nothing or the whole image.
    """
    mask = pixels.resize_mask(mask_files.read_mask(path), height, width)
    if not mask.any() or mask.all():
        raise InputError(
            f"the mask must cover part of the image; pixels lighter than mid-grey cover none of it or all of it: {path}"
        )
    return mask


_RANDOM: dict[str, Callable[[int, np.random.Generator], np.ndarray]] = {
    "rectangle": rectangle,
    "freeform": freeform,
    "objects": objects,
}


class MaskSampler:
    """A weighted mix of kinds of masks: `sampler(rng)` -> uint8 [size, size].

    Args:
        size: height and width in pixels.
        weights: weight, at least 0, of each kind (`center`, `rectangle`, `freeform`, `objects`, `folder`). The first
            four are the functions of that name in this module.
        overlap: see `center`.
        folder: a folder of mask files (lighter than the middle = hole, see `masks.holes`) for the kind `folder`; files
            of another size are scaled, see `from_file`.

    Raises:
        InputError: the folder contains no mask, or a mask without a hole.
    """

    def __init__(
        self, size: int, weights: Mapping[str, float], overlap: int = 4, folder: str | os.PathLike[str] = ""
    ) -> None:
        self.size = size
        self.overlap = overlap
        self.kinds = [kind for kind, weight in weights.items() if weight > 0]
        total = sum(weights[kind] for kind in self.kinds)
        self.probabilities = [weights[kind] / total for kind in self.kinds]
        self.files = _mask_files(folder) if "folder" in self.kinds else []

    def __call__(self, rng: np.random.Generator) -> np.ndarray:
        kind = self.kinds[rng.choice(len(self.kinds), p=self.probabilities)]
        if kind == "folder":
            path = self.files[rng.integers(len(self.files))]
            return from_file(path, self.size, self.size)
        return center(self.size, self.overlap) if kind == "center" else _RANDOM[kind](self.size, rng)


def _mask_files(folder: str | os.PathLike[str]) -> list[Path]:
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"`masks.folder_path` must be a folder of mask files. Received: {str(folder)!r}")
    files = finding.find_photos(folder)
    if not files:
        raise InputError(f"no mask files (PNG, JPEG, WebP) in {folder}")
    return files
