"""Mask files: pictures, and JSON files of shapes; and which pixels of them are hole.

In a picture, any non-black pixel is hole (in a lossy format such as JPEG, where black is seldom 0, any pixel lighter
than middle grey). In a layer on a transparent background, as drawing programs save it (all visible pixels have one
colour), the visible pixels are hole. For JSON files of shapes see `masks.shapes`.
"""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, cast, get_args, get_origin

import numpy as np
from PIL import Image, ImageChops

from shiftnet_tf.errors import InputError, check, first_line
from shiftnet_tf.masks import shapes
from shiftnet_tf.photos import image_files

_SAME = 32  # grey levels by which the colour of one layer of paint may differ


@dataclasses.dataclass(frozen=True, kw_only=True)
class MaskSettings:
    """How mask files are read.

    Attributes:
        invert: whether what is marked stays and all else is filled.
        dilate: pixels by which the hole grows on each side, at most 1000.
        threshold: from 0 to 255: what is lighter is hole; None: see above.
        mask_from: `"color"`; `"alpha"`, what is not transparent is hole; or `"auto"`, see above.

    Raises:
        InputError: a value that is none.
    """

    invert: bool = dataclasses.field(
        default=False, metadata={"help": "keep what the mask marks and fill everything else"}
    )
    dilate: int = dataclasses.field(
        default=0, metadata={"most": 1000, "help": "grow the hole by N pixels, up to 1000 (default: 0)"}
    )
    threshold: int | None = dataclasses.field(
        default=None,
        metadata={"most": 255, "help": "fill where the mask is lighter than N, 0 to 255 (default: 0; 127 if lossy)"},
    )
    mask_from: Literal["auto", "color", "alpha"] = dataclasses.field(
        default="auto", metadata={"help": "read the mask from its colours or from its alpha (default: what is painted)"}
    )

    def __post_init__(self) -> None:
        check("invert", self.invert, isinstance(self.invert, bool), "true or false")
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if get_origin(field.type) is Literal:
                choices = get_args(field.type)
                check(field.name, value, value in choices, f"one of {', '.join(choices)}")
            elif most := field.metadata.get("most"):
                whole = type(value) is int and 0 <= value <= most
                check(field.name, value, whole or value is field.default, f"a whole number from 0 to {most}")


def read_hole(
    sources: Sequence[image_files.FileSource],
    shape: tuple[int, int],
    settings: MaskSettings | None = None,
    max_pixels: int | None = None,
) -> np.ndarray:
    """Read the hole of a photo from mask files, which are joined.

    Args:
        sources: paths (a name that ends with `.json`: a file of shapes) or contents (beginning with `{`: shapes).
        shape: H and W of the upright photo.
        settings: None for the defaults.
        max_pixels: see `image_files.open_picture`.

    Returns:
        bool [H, W].

    Raises:
        InputError: there is no mask, one cannot be read or has another size, or the masks cover the whole photo.
    """
    settings = settings or MaskSettings()
    if not sources:
        raise InputError("there is no mask")
    hole = np.zeros(shape, bool)
    for source in sources:
        if _is_json(source):
            hole |= shapes.draw_shapes(_read_json(source), shape)
            continue
        mask = read_mask(source, settings.threshold, settings.mask_from, max_pixels)
        if mask.shape != tuple(shape):
            turned = ": it lies on its side, was it drawn on the photo before it was turned upright?"
            raise InputError(
                f"the mask must have the photo's size, {shape[1]}x{shape[0]}. Received: {mask.shape[1]}x"
                f"{mask.shape[0]}{turned if mask.shape == tuple(shape)[::-1] and shape[0] != shape[1] else ''}"
            )
        hole |= mask != 0
    if settings.invert:
        hole = ~hole
    if settings.dilate and hole.any():
        hole = dilate(hole, settings.dilate)
    if hole.all():
        raise InputError("the mask covers the whole photo: nothing is known to fill it from")
    return hole


def read_mask(
    source: image_files.FileSource,
    threshold: int | None = None,
    mask_from: str = "auto",
    max_pixels: int | None = None,
) -> np.ndarray:
    """Read a mask picture.

    Args:
        source: path of a file that Pillow can read, or its content.
        threshold, mask_from: see `MaskSettings`.
        max_pixels: see `image_files.open_picture`.

    Returns:
        uint8 [H, W] of 0 and 1, 1 = hole.

    Raises:
        InputError: it cannot be read, or it has transparent pixels and visible pixels of several colours.
    """
    picture, raw, _ = image_files.open_picture(source, "mask", max_pixels)
    name = image_files.name_of(source)
    if threshold is None:
        threshold = 127 if raw.format in image_files.LOSSY_FORMATS else 0
    if picture.mode.startswith(("I", "F")):
        levels = np.asarray(picture)
        deep = picture.mode != "F" and threshold > 0
        return (levels > (threshold * 257 if deep else threshold)).astype(np.uint8)
    if mask_from == "alpha" or picture.has_transparency_data:
        picture = picture.convert("RGBA")
        alpha = picture.getchannel("A")
        least, _ = cast(tuple[int, int], alpha.getextrema())  # of one channel, not of several
        if mask_from == "alpha":
            return _above(alpha, threshold)
        if mask_from == "auto" and least < 255:
            if not _one_colour(picture, alpha):
                raise InputError(
                    f"the mask has transparent pixels and several colours, so that it does not say what is hole: take "
                    f"its alpha as the mask (mask from alpha, inverted where the hole is what is transparent): {name}"
                )
            return _above(alpha, max(threshold, 127))
    if picture.mode in ("1", "L"):
        return _above(picture.convert("L"), threshold)
    picture = picture if picture.mode in ("RGB", "RGBA") else picture.convert("RGB")
    lightest = picture.getchannel("R")
    for name in "GB":  # one at a time: a mask of 100 megapixels has 100 MB a channel
        lightest = ImageChops.lighter(lightest, picture.getchannel(name))
    return _above(lightest, threshold)


def _above(channel: Image.Image, threshold: int) -> np.ndarray:
    return (np.asarray(channel) > threshold).view(np.uint8)


def _one_colour(picture: Image.Image, alpha: Image.Image) -> bool:
    """Tell whether all visible pixels have about one colour, as in a layer of paint."""
    shown = alpha.point(lambda level: 255 * (level > 127)).convert("1")
    if shown.getbbox() is None:
        return True
    for channel in picture.split()[:3]:
        levels = np.flatnonzero(channel.histogram(shown))
        if levels[-1] - levels[0] > _SAME:
            return False
    return True


def _is_json(source: image_files.FileSource) -> bool:
    if isinstance(source, bytes):
        return source[:64].lstrip()[:1] == b"{"
    return Path(source).suffix.lower() == ".json"


def _read_json(source: image_files.FileSource) -> dict[str, Any]:
    name = image_files.name_of(source)
    with image_files.decoding(source, "mask"):
        content = source if isinstance(source, bytes) else Path(source).read_bytes()
    try:
        found = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise InputError(f"the mask is no JSON ({first_line(error)}): {name}") from error
    wanted = ("boxes", "polygons", "strokes")
    if not isinstance(found, dict) or not set(found) <= set(wanted):
        raise InputError(f"a mask in JSON is an object with {', '.join(wanted)}, each a list: {name}")
    return found


def dilate(hole: np.ndarray, pixels: int) -> np.ndarray:
    """Grow a hole by a number of pixels to each side: by a square, as most programs do.

    Args:
        hole: bool [H, W].
        pixels: how far it grows to each side.

    Returns:
        bool [H, W].
    """
    for axis in (0, 1):
        left = pixels
        reach = 1
        while left:  # growing by 1, 2, 4, ... takes as many steps as the number has digits
            step = min(reach, left)
            grown = hole.copy()
            low, high = [slice(None)] * 2, [slice(None)] * 2
            low[axis], high[axis] = slice(None, -step), slice(step, None)
            grown[tuple(low)] |= hole[tuple(high)]
            grown[tuple(high)] |= hole[tuple(low)]
            hole, left, reach = grown, left - step, 2 * step + 1
    return hole
