"""Photos with holes to measure on: which photos, which masks, how each is cropped."""

import dataclasses
import functools
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np

from shiftnet_tf.errors import InputError
from shiftnet_tf.evaluation.quality import center_crop
from shiftnet_tf.masks import sampling
from shiftnet_tf.photos import finding, image_files, pixels

RANGES = [(low / 10, (low + 1) / 10) for low in range(6)]  # of the hole's share of the photo
Draw = Callable[[int, int], np.ndarray]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Samples:
    """Photos and the holes that are measured in them.

    Attributes:
        images: folder of photos.
        masks: `"center"`, the paper's hole; `"freeform:SEED"`, random strokes, one mask for each photo and each of
            RANGES; or a folder of masks, one a photo in the order of their names.
        size: side of the centre crop in pixels; the photo's short side is scaled to 350 for a size of 256.
        whole: whether photos are taken as they are.

    Raises:
        InputError: the size is below 32.
    """

    images: str | os.PathLike[str]
    masks: str = "center"
    size: int = 256
    whole: bool = False

    def __post_init__(self) -> None:
        if self.size < 32:
            raise InputError(f"`size` must be at least 32. Received: {self.size}")

    def read(self, path: Path) -> np.ndarray | None:
        """Read a photo as it is measured: uint8 [H, W, 3]; None where it is too small for the crop."""
        photo = image_files.read_image(path)
        if self.whole:
            return photo if min(photo.shape[:2]) >= 7 else None
        return center_crop(photo, self.size)

    def pairs(self) -> list[tuple[Path, list[Draw]]]:
        """List the photos, each with functions (height, width) -> mask uint8 [height, width].

        Raises:
            InputError: no photo, masks that are none, another number of masks than of photos.
        """
        paths = finding.find_photos(self.images)
        if not paths:
            raise InputError(f"no photos (JPEG, PNG, WebP) in {str(self.images)!r}")
        return list(zip(paths, self._masks(paths)))

    def _masks(self, paths: list[Path]) -> list[list[Draw]]:
        kind, _, seed = self.masks.partition(":")
        if kind == "center" and not seed:
            return [[_center] for _ in paths]
        if kind == "freeform" and seed.isdecimal():
            return [[_freeform(int(seed), i, *limits) for limits in RANGES] for i in range(len(paths))]
        if not Path(self.masks).is_dir():
            raise InputError(f"`masks` must be center, freeform:SEED or a folder. Received: {self.masks!r}")
        files = finding.find_photos(self.masks)
        if len(files) != len(paths):
            raise InputError(f"each photo needs one mask. Received: {len(paths)} photos and {len(files)} masks")
        return [[functools.partial(sampling.from_file, file)] for file in files]


def _center(height: int, width: int) -> np.ndarray:
    return pixels.resize_mask(sampling.center(256), height, width)


def _freeform(seed: int, index: int, least: float, most: float) -> Draw:
    def draw(height: int, width: int) -> np.ndarray:
        rng = np.random.default_rng([seed, index, round(10 * least)])
        while True:  # a square of strokes, scaled to the photo: its share may leave the range a little
            mask = sampling.freeform_of_share(256, rng, least, most)
            mask = pixels.resize_mask(mask, height, width)
            if least <= mask.mean() < most:
                return mask

    return draw
