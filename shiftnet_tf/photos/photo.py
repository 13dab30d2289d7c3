"""Photo files that are filled and written again, with pixels in their own mode and depth, and metadata.

`Photo` is a canvas (`runtime.filling`): the model sees 8-bit RGB, while known pixels, alpha, grey and 16 bits stay as
they are in the file. EXIF orientation is applied. EXIF, XMP, ICC profile, resolution, texts and a JPEG's quantisation
tables are kept, so that writing the photo again loses as little as possible.
"""

import io
import logging
import math
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image, TiffImagePlugin

from shiftnet_tf.errors import InputError, UnwritableError, check
from shiftnet_tf.photos import file_formats, image_files, metadata, metadata_writing
from shiftnet_tf.photos.sources import FileSource, name_of
from shiftnet_tf.photos.windows import Window

_MODES = ("RGB", "RGBA", "L", "LA", "I;16")
_ALPHA_FORMATS = ("PNG", "TIFF", "WEBP", "AVIF", "JPEG2000", "TGA", "HEIF")
_DEEP_FORMATS = ("PNG", "TIFF")
QUALITY_FORMATS = ("JPEG", "WEBP", "AVIF", "HEIF")
_LOSSY_QUALITY = 95
_MOST_NAMED = 20  # of the data left out
logger = logging.getLogger(__name__)


class Photo:
    """A photo that can be read, filled and written.

    Args:
        source: path of the file, or its content.
        max_pixels: maximum width times height, checked before anything is decoded; None: see `image_files.MAX_PIXELS`.

    Attributes:
        shape: height and width, upright.
        format: Pillow's name of the file's format, such as `"JPEG"`.

    Raises:
        InputError: the file is absent, damaged, too large, animated or of several pages, or in a mode that cannot be
            written again without loss: CMYK, 16 bits in colour, 32 bits.

    Examples:

    >>> photo = Photo("photo.jpg")                                # doctest: +SKIP
    >>> inpainter.fill(photo, mask)                               # doctest: +SKIP
    >>> photo.save("out.jpg")                                     # doctest: +SKIP
    """

    def __init__(self, source: FileSource, max_pixels: int | None = None) -> None:
        self.source = source
        picture, raw, orientation = image_files.open_picture(source, "photo", max_pixels)
        self.format = raw.format
        self._kept = metadata.read(raw, source, orientation)
        self._picture = _in_own_mode(picture, source)
        self.shape: tuple[int, int] = self._picture.size[::-1]

    def read(self, window: Window) -> np.ndarray:
        """Return the pixels of a window: uint8 [h, w, 3], RGB."""
        part = self._picture.crop((window.left, window.top, window.right, window.bottom))
        if part.mode == "I;16":
            levels = np.asarray(part)
            return np.repeat(((levels + np.uint32(128)) // 257).astype(np.uint8)[..., np.newaxis], 3, axis=-1)
        if part.mode in ("LA", "RGBA"):
            part = part.convert(part.mode[:-1])  # drops alpha, keeps the colours
        return np.asarray(part.convert("RGB"))

    def write(self, window: Window, pixels: np.ndarray, hole: np.ndarray) -> None:
        """Change the colours where `hole` is True, and nowhere else; alpha does not change.

        Args:
            window: the part of the photo to change.
            pixels: uint8 [h, w, 3], RGB.
            hole: bool [h, w].
        """
        part = self._picture.crop((window.left, window.top, window.right, window.bottom))
        levels = np.array(part)
        if part.mode.startswith("RGB"):
            levels[..., :3][hole] = pixels[hole]
        else:
            grey = np.array(Image.fromarray(pixels).convert("L"))[hole]
            if part.mode == "LA":
                levels[..., 0][hole] = grey
            else:
                levels[hole] = grey * levels.dtype.type(257 if part.mode == "I;16" else 1)
        self._picture.paste(Image.fromarray(levels), (window.left, window.top))

    def reduce(self, side: int) -> np.ndarray:
        """Return the photo, scaled down so that no side is longer than `side`: uint8 [h, w, 3]."""
        factor = min(1, side / max(self.shape))
        size = [max(1, round(length * factor)) for length in self._picture.size]
        picture = self._picture
        if picture.mode == "I;16":
            picture = Image.fromarray(self.read(Window(0, 0, *self.shape)))
        return np.array(picture.resize(size, Image.Resampling.BILINEAR, reducing_gap=2.0).convert("RGB"))

    def check_format(self, file_format: str) -> None:
        """Refuse a format, given by Pillow's name, that cannot store this photo without loss.

        Raises:
            InputError: the photo has alpha or 16 bits, which the format does not support.
        """
        if self._picture.mode in ("LA", "RGBA") and file_format not in _ALPHA_FORMATS:
            raise InputError(f"the photo has transparency, which {file_format} cannot store: write a .png or .webp")
        if self._picture.mode == "I;16" and file_format not in _DEEP_FORMATS:
            raise InputError(f"the photo has 16 bits per pixel, which {file_format} cannot store: write a .png or .tif")

    def save(self, target: str | Path | BinaryIO, file_format: str | None = None, quality: int | None = None) -> None:
        """Write the photo; to a path atomically.

        Args:
            target: a path, whose suffix selects the format, or an open binary file, which needs `file_format`.
            file_format: Pillow's name of the format, such as `"PNG"`.
            quality: 1 to 100, for lossy formats; None: that of the photo's file, or 95.

        Raises:
            InputError: see `check_format`, `file_formats.check_output`, `check_quality`; or the file cannot be written.
        """
        if isinstance(target, str | Path):
            file_format = file_formats.check_output(Path(target))
        elif file_format is None:
            raise InputError('writing to an open file needs a `file_format`, such as "PNG"')
        self.check_format(file_format)
        check_quality(quality, file_format)
        try:
            lost = self._write(target, file_format, self._kept, quality)
        except UnwritableError as error:
            self._write(target, file_format, metadata.without(self._kept), quality)
            lost = [f"all metadata ({error})"]
        if lost := list(dict.fromkeys([*self._kept.left_out, *lost])):
            more = [f"and {len(lost) - _MOST_NAMED} more"] if len(lost) > _MOST_NAMED else []
            text = "; ".join(lost[:_MOST_NAMED] + more)
            logger.warning("%s: left out: %s", name_of(self.source), text)

    def encoded(self, file_format: str | None = None, quality: int | None = None) -> bytes:
        """Return the bytes that `save` writes to a path.

        Args:
            file_format: Pillow's name; None: `own_format`.
            quality: see `save`.
        """
        buffer = io.BytesIO()
        self.save(buffer, file_format or self.own_format, quality)
        return buffer.getvalue()

    @property
    def own_format(self) -> str:
        """The default output format: the photo's own if Pillow writes it, else PNG; JPEG for a phone's MPO."""
        own = "JPEG" if self.format == "MPO" else self.format
        return own if own in file_formats.OUTPUT_FORMATS and own in Image.SAVE else "PNG"

    def is_a(self, file_format: str) -> bool:
        """Tell whether the file has this format; an MPO, a phone's JPEG with several images, also counts as a JPEG."""
        return file_format in (self.format, "JPEG" if self.format == "MPO" else None)

    def _write(
        self, target: str | Path | BinaryIO, file_format: str, kept: metadata.Metadata, quality: int | None
    ) -> list[str]:
        """Write the photo with these metadata; return those that the format cannot store."""
        options, lost = metadata_writing.options(kept, file_format, self._picture.mode)
        if quality is not None:
            options |= {
                name: value for name, value in kept.tables.items() if file_format == "JPEG" and name != "qtables"
            }
            options |= {"quality": quality}
        elif file_format == "JPEG":
            options |= kept.tables or {"quality": _LOSSY_QUALITY}
        elif file_format == "WEBP" and kept.lossless:
            options |= {"lossless": True}
        elif file_format in ("WEBP", "AVIF", "HEIF"):
            options |= {"quality": self._quality(file_format, kept)}

        def finish(file: BinaryIO) -> None:
            metadata_writing.finish(kept, file, file_format)

        image_files.write_picture(target, self._picture, file_format, options, finish)
        return lost

    def _quality(self, file_format: str, kept: metadata.Metadata) -> int:
        """Return the quality at which the photo is about as large as its own file, if that has the same format.

        A file does not record its quality. From 95 to 50 the size falls to a third, evenly enough.
        """
        if file_format != kept.format or not kept.file_size:
            return _LOSSY_QUALITY
        buffer = io.BytesIO()
        image_files.write_picture(buffer, self._picture, file_format, {"quality": _LOSSY_QUALITY})
        excess = buffer.tell() / kept.file_size
        return _LOSSY_QUALITY if excess <= 1.25 else max(50, round(_LOSSY_QUALITY - 28 * math.log2(excess)))


def check_quality(quality: int | None, file_format: str) -> None:
    """Refuse an invalid quality, or one for a format that has none.

    Raises:
        InputError: it is not a whole number from 1 to 100, or the format is written without loss.
    """
    if quality is None:
        return
    check("quality", quality, type(quality) is int and 1 <= quality <= 100, "a whole number from 1 to 100")
    if file_format not in QUALITY_FORMATS:
        raise InputError(
            f"`quality` is only for {', '.join(QUALITY_FORMATS)}. Received: {quality} for {file_format}, which is "
            "written without loss"
        )


def _in_own_mode(picture: Image.Image, source: FileSource) -> Image.Image:
    """Return the image in one of _MODES; other modes are converted without loss or refused."""
    if picture.mode.startswith("I;16") or picture.mode == "I":
        if "transparency" in picture.info:
            raise InputError(f"a 16-bit photo with a transparent grey level is not supported: {name_of(source)}")
        levels = np.asarray(picture)
        if levels.min() < 0 or levels.max() > 65535:
            raise InputError(f"the photo must have 8 or 16 bits per channel, not 32: {name_of(source)}")
        if picture.mode != "I;16":
            picture = Image.fromarray(levels.astype(np.uint16))
    if picture.mode not in _MODES:
        raise InputError(
            f"the photo must be RGB or grey, not {picture.mode}: the conversion loses data; convert it yourself first: "
            f"{name_of(source)}"
        )
    if isinstance(picture, TiffImagePlugin.TiffImageFile):
        picture = picture.copy()  # without the entries of its file, which Pillow would all write again
    picture.info = {}  # the metadata to keep are passed when it is written
    return picture
