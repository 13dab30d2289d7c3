"""Real things to take out of photos: outlines in a JSON file, photos in folders."""

import json
import os
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

import numpy as np

from shiftnet_tf.errors import InputError
from shiftnet_tf.masks.shapes import draw_shapes
from shiftnet_tf.photos import finding, image_files


def read_removals(
    path: str | os.PathLike[str], folders: Sequence[str | os.PathLike[str]], things: Collection[str] = ()
) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Read photos, and draw the outlines of the things in them.

    Args:
        path: JSON file, a list of objects with `thing`, `photo` (file name) and `points` ([x, y], 0 to 1).
        folders: where the photos are, at any depth.
        things: their names; all if it is empty.

    Yields:
        Name, photo uint8 [H, W, 3], and mask [H, W], nonzero inside the outline.

    Raises:
        InputError: a photo is in none of the folders.
    """
    photos = {photo.name: photo for folder in folders for photo in finding.find_photos(folder)}
    for entry in json.loads(Path(path).read_text("utf-8")):
        if things and entry["thing"] not in things:
            continue
        if entry["photo"] not in photos:
            raise InputError(f"no photo named {entry['photo']} in {', '.join(map(str, folders))}")
        image = image_files.read_image(photos[entry["photo"]])
        height, width = image.shape[:2]
        polygon = [[x * width, y * height] for x, y in entry["points"]]
        yield f"{entry['thing']} in {entry['photo']}", image, draw_shapes({"polygons": [polygon]}, (height, width))
