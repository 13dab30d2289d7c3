"""Masks: uint8 [H, W], 1 = hole (missing), 0 = known.

The shapes that a network is trained on: the paper's centre hole, a random rectangle,
free-form strokes (as in DeepFill v2 and its followers: a few thick random poly-lines),
and the user's own mask files. `MaskSampler` draws from a weighted mix of them.
Each random function takes a `numpy.random.Generator`, so that a mask is a pure function of its seed.
"""

import math
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from shiftnet_tf import image_files, images, mask_files
from shiftnet_tf.errors import InputError

KINDS = ("center", "rectangle", "freeform", "folder")

# A free-form hole smaller or larger than this share of the image teaches nothing.
_FREEFORM_SHARE = (0.02, 0.6)


def center(size, overlap=4):
    """The paper's centre hole: half the image wide, less `overlap` pixels at each side.

    Args:
        size: int, height and width of the mask in pixels.
        overlap: int, known pixels that the half-wide square keeps at each of its sides.

    Returns:
        uint8 [size, size]; 120 x 120 ones at rows and columns 68 to 187 for size 256.
    """
    mask = np.zeros((size, size), np.uint8)
    start, end = size // 4 + overlap, size // 4 + size // 2 - overlap
    mask[start:end, start:end] = 1
    return mask


def rectangle(size, rng):
    """One rectangle, each side between an eighth and a half of the image, anywhere inside it.

    Args:
        size: int, height and width of the mask in pixels.
        rng: numpy.random.Generator.

    Returns:
        uint8 [size, size].
    """
    height, width = rng.integers(size // 8, size // 2, size=2, endpoint=True)
    top = rng.integers(0, size - height, endpoint=True)
    left = rng.integers(0, size - width, endpoint=True)
    mask = np.zeros((size, size), np.uint8)
    mask[top : top + height, left : left + width] = 1
    return mask


def _stroke(draw, size, rng):
    """Draws one poly-line with round joints: the path of a brush that turns at each vertex."""
    width = int(rng.uniform(size / 20, size / 7))
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


def freeform(size, rng):
    """One to eight thick random strokes that cover 2 to 60 % of the image.

    Args:
        size: int, height and width of the mask in pixels.
        rng: numpy.random.Generator.

    Returns:
        uint8 [size, size].
    """
    while True:
        canvas = Image.new("L", (size, size))
        draw = ImageDraw.Draw(canvas)
        for _ in range(rng.integers(1, 9)):
            _stroke(draw, size, rng)
        mask = np.array(canvas)
        if _FREEFORM_SHARE[0] <= mask.mean() <= _FREEFORM_SHARE[1]:
            return mask


def freeform_of_share(size, rng, least, most):
    """As many strokes as it takes to cover between two shares of the image.

    Args:
        size: int, height and width of the mask in pixels.
        rng: numpy.random.Generator.
        least, most: float, shares of the image; `most` at least 0.1 above `least`, or it may take long.

    Returns:
        uint8 [size, size].
    """
    while True:
        canvas = Image.new("L", (size, size))
        draw = ImageDraw.Draw(canvas)
        share = 0.0
        while share < max(least, _FREEFORM_SHARE[0]):
            _stroke(draw, size, rng)
            share = np.array(canvas).mean()
        if share < most:
            return np.array(canvas)


def from_file(path, height, width):
    """A mask file, scaled so that any touched pixel is hole.

    Args:
        path: str or Path.
        height, width: int, pixels.

    Returns:
        uint8 [height, width].

    Raises:
        InputError: it cannot be read, or has no hole or nothing but hole.
    """
    mask = images.resize_mask(mask_files.read_mask(path), height, width)
    if not mask.any() or mask.all():
        raise InputError(f"a mask must cover a part of the image, neither nothing nor all: {path}")
    return mask


class MaskSampler:
    """A weighted mix of kinds of masks: `sampler(rng)` -> uint8 [size, size].

    Args:
        size: int, height and width in pixels.
        weights: dict of kind (`center`, `rectangle`, `freeform`, `folder`) to weight, each >= 0.
        overlap: int, see `center`. Defaults to 4.
        folder: str or Path, a folder of mask files (nonzero = hole), for the kind `folder`;
            a file of another size is scaled so that any touched pixel is hole.

    Raises:
        InputError: the folder holds no mask, or a mask without hole.
    """

    def __init__(self, size, weights, overlap=4, folder=""):
        self.size = size
        self.overlap = overlap
        self.kinds = [kind for kind in KINDS if weights.get(kind, 0) > 0]
        total = sum(weights[kind] for kind in self.kinds)
        self.probabilities = [weights[kind] / total for kind in self.kinds]
        self.files = _mask_files(folder) if "folder" in self.kinds else []

    def __call__(self, rng):
        kind = self.kinds[rng.choice(len(self.kinds), p=self.probabilities)]
        if kind == "center":
            return center(self.size, self.overlap)
        if kind == "rectangle":
            return rectangle(self.size, rng)
        if kind == "freeform":
            return freeform(self.size, rng)
        path = self.files[rng.integers(len(self.files))]
        return from_file(path, self.size, self.size)


def _mask_files(folder):
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"`masks.folder_path` must be a folder of mask files. Received: {str(folder)!r}")
    files = image_files.find_photos(folder)
    if not files:
        raise InputError(f"no mask file (PNG, JPEG, WebP) below {folder}")
    return files
