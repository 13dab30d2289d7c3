"""Mask files: images, or JSON files of shapes; and the settings for reading them.

In an image, pixels lighter than the middle of its range are hole, see `masks.holes.find_hole`. In a layer on a
transparent background, as drawing programs save it (all visible pixels have one colour), the visible pixels are hole.
For JSON files see `masks.shapes`. The type of a file is detected from its content, never from its name.
"""

import dataclasses
import json
import logging
from collections.abc import Sequence
from typing import Any, Literal, cast

import numpy as np
from PIL import Image, ImageChops

from shiftnet_tf.errors import InputError, TooLargeError, check, check_choices, first_line
from shiftnet_tf.masks import holes, shapes
from shiftnet_tf.photos import file_formats, image_files
from shiftnet_tf.photos.sources import FileSource, decoding, name_of, read_bytes

_SAME = 32  # grey levels by which the colour within one layer of paint may vary
MOST_SHAPE_BYTES = 4_000_000  # of a JSON mask, which take up to 100 MB once parsed
_HEAD = 1024  # bytes that tell a JSON file from an image
logger = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, kw_only=True)
class MaskSettings:
    """How to read mask files.

    Attributes:
        invert: whether to keep what is marked and fill everything else.
        dilate: pixels by which the hole grows on each side, at most 1000.
        threshold: 0 to 255: lighter pixels are hole; None: the middle of the range, see `masks.holes.find_hole`.
        mask_from: `"color"`; `"alpha"`: pixels that are not transparent are hole; or `"auto"`, see above.

    Raises:
        InputError: an invalid value.
    """

    invert: bool = dataclasses.field(
        default=False, metadata={"help": "keep what the mask marks and fill everything else"}
    )
    dilate: int = dataclasses.field(
        default=0, metadata={"most": 1000, "help": "grow the hole by N pixels, up to 1000 (default: 0)"}
    )
    threshold: int | None = dataclasses.field(
        default=None,
        metadata={"most": 255, "help": "fill where the mask is lighter than N, 0 to 255 (default: mid-grey)"},
    )
    mask_from: Literal["auto", "color", "alpha"] = dataclasses.field(
        default="auto",
        metadata={"help": "read the mask from its colours or its alpha channel (default: auto, whichever holds it)"},
    )

    def __post_init__(self) -> None:
        check("invert", self.invert, isinstance(self.invert, bool), "true or false")
        check_choices(self)
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if most := field.metadata.get("most"):
                whole = type(value) is int and 0 <= value <= most
                check(field.name, value, whole or value is field.default, f"a whole number from 0 to {most}")


def read_hole(
    sources: Sequence[FileSource],
    shape: tuple[int, int],
    settings: MaskSettings | None = None,
    max_pixels: int | None = None,
) -> np.ndarray:
    """Read the hole of a photo from mask files, which are combined.

    Logs a warning for an ambiguous mask, see `masks.holes.doubt`.

    Args:
        sources: paths or contents of images or JSON files.
        shape: H and W of the upright photo.
        settings: None for the defaults.
        max_pixels: see `image_files.open_picture`.

    Returns:
        bool [H, W].

    Raises:
        InputError: there is no mask, one cannot be read or has another size (the message names it among several), or
            the masks cover the whole photo.
    """
    settings = settings or MaskSettings()
    if not sources:
        raise InputError("no mask given")
    hole = np.zeros(shape, bool)
    for number, source in enumerate(sources, 1):
        if _is_json(source):
            hole |= shapes.draw_shapes(_read_json(source), shape)
            continue
        levels = _read_levels(source, settings.threshold, settings.mask_from, max_pixels)
        if levels.shape != tuple(shape):
            which = f" (mask {number} of {len(sources)}: {name_of(source)})" if len(sources) > 1 else ""
            turned = "; width and height are swapped: was it drawn before EXIF rotation?"
            raise InputError(
                f"the mask must have the photo's size, {shape[1]}x{shape[0]}. Received: {levels.shape[1]}x"
                f"{levels.shape[0]}{which}"
                f"{turned if levels.shape == tuple(shape)[::-1] and shape[0] != shape[1] else ''}"
            )
        hole |= apply_threshold(levels, settings, name_of(source))
    return complete_hole(hole, settings)


def apply_threshold(levels: np.ndarray, settings: MaskSettings, name: str) -> np.ndarray:
    """Return which pixels of a mask are hole; without a threshold, log a warning if that is ambiguous.

    Args:
        levels: see `masks.holes.find_hole`.
        settings: of which `threshold` is used.
        name: the mask's name in the log.

    Returns:
        bool [H, W].
    """
    hole = holes.find_hole(levels, settings.threshold)
    if settings.threshold is None and (text := holes.doubt(levels, hole)):
        logger.warning("%s: %s", name, text)
    return hole


def complete_hole(hole: np.ndarray, settings: MaskSettings) -> np.ndarray:
    """Return the hole, inverted and grown as the settings say.

    Args:
        hole: bool [H, W], what the masks mark.
        settings: of which `invert` and `dilate` are used.

    Returns:
        bool [H, W].

    Raises:
        InputError: it covers the whole photo.
    """
    if settings.invert:
        hole = ~hole
    grown = holes.dilate(hole, settings.dilate) if settings.dilate and hole.any() else hole
    if not grown.all():
        return grown
    if not hole.all():
        cure = f"use less --dilate than {settings.dilate} (it covers {holes.percent(float(hole.mean()))} without), or "
    else:
        cure = "mark more of what to keep, or " if settings.invert else "mark less, or "
    if settings.invert:
        cure += "leave out --invert if the mask marks what to fill"
    else:
        cure += "pass --invert if the mask marks what to keep"
    raise InputError(f"the mask covers the whole photo and leaves nothing to fill it from: {cure}")


def read_mask(
    source: FileSource,
    threshold: int | None = None,
    mask_from: str = "auto",
    max_pixels: int | None = None,
) -> np.ndarray:
    """Read a mask image.

    Args:
        source: path of a file that Pillow can read, or its content.
        threshold, mask_from: see `MaskSettings`.
        max_pixels: see `image_files.open_picture`.

    Returns:
        uint8 [H, W] of 0 and 1, 1 = hole.

    Raises:
        InputError: it cannot be read, or it has transparent pixels and visible pixels of several colours.
    """
    return holes.find_hole(_read_levels(source, threshold, mask_from, max_pixels), threshold).view(np.uint8)


def _read_levels(source: FileSource, threshold: int | None, mask_from: str, max_pixels: int | None) -> np.ndarray:
    """Return the levels of a mask image, numbers [H, W]; or the hole, bool, if it is in the alpha channel."""
    picture, raw, _ = image_files.open_picture(source, "mask", max_pixels)
    if picture.mode.startswith(("I", "F")):
        return np.asarray(picture)
    if picture.mode not in ("L", "RGB", "RGBA"):
        with decoding(source, "mask"):
            picture = picture.convert("RGBA" if picture.has_transparency_data else "RGB")
    if mask_from == "alpha":
        above = threshold if threshold is not None else 127 if raw.format in file_formats.LOSSY_FORMATS else 0
        return np.asarray(picture.convert("RGBA").getchannel("A")) > above
    if picture.mode == "RGBA" and mask_from == "auto":
        alpha = picture.getchannel("A")
        least, _ = cast(tuple[int, int], alpha.getextrema())  # of one channel
        if least < 255:
            if not _one_colour(picture, alpha):
                raise InputError(
                    "the mask is ambiguous, with transparent pixels and several colours: read it from its alpha "
                    f"(--mask-from alpha), inverted if the transparent part is the hole: {name_of(source)}"
                )
            return np.asarray(alpha) > max(threshold or 0, 127)
    if picture.mode == "L":
        return np.asarray(picture)
    lightest = picture.getchannel("R")
    for name in "GB":  # one at a time: a mask of 100 megapixels takes 100 MB per channel
        lightest = ImageChops.lighter(lightest, picture.getchannel(name))
    return np.asarray(lightest)


def _one_colour(picture: Image.Image, alpha: Image.Image) -> bool:
    """Tell whether all visible pixels have nearly the same colour, as in a layer of paint."""
    shown = alpha.point(lambda level: 255 * (level > 127)).convert("1")
    if shown.getbbox() is None:
        return True
    for channel in picture.split()[:3]:
        levels = np.flatnonzero(channel.histogram(shown))
        if levels[-1] - levels[0] > _SAME:
            return False
    return True


def _is_json(source: FileSource) -> bool:
    """Tell whether a file is JSON, in UTF-8, UTF-16 or UTF-32, with a byte order mark or without."""
    head = read_bytes(source, "mask", _HEAD)
    text = head.decode(json.detect_encoding(head), "ignore").lstrip(" \t\r\n\ufeff")
    return text[:1] in ("{", "[") and (text[1:2].isspace() or text[1:2].isprintable())  # a TGA may begin with "{" too


def _read_json(source: FileSource) -> dict[str, Any]:
    name = name_of(source)
    content = read_bytes(source, "mask", MOST_SHAPE_BYTES + 1)
    if len(content) > MOST_SHAPE_BYTES:
        raise TooLargeError(
            f"the JSON mask is larger than {MOST_SHAPE_BYTES / 1e6:g} MB: use fewer points, or a mask image: {name}"
        )
    try:
        found = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise InputError(f"the mask is not valid JSON ({first_line(error)}): {name}") from error
    wanted = ("boxes", "polygons", "strokes")
    if not isinstance(found, dict) or not set(found) <= set(wanted):
        raise InputError(f"a JSON mask must be an object with the lists {', '.join(wanted)}: {name}")
    return found
