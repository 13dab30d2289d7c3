"""Image files: read and write them, and say in one sentence what is wrong with one."""

import contextlib
import io
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
from PIL import ExifTags, Image, ImageChops, ImageFile, TiffImagePlugin

from shiftnet_tf.errors import InputError, TooLargeError, UnwritableError, first_line
from shiftnet_tf.photos import file_formats, structure
from shiftnet_tf.photos.sources import FileSource, check_file, decoding, name_of
from shiftnet_tf.system.atomic import make_folder, write_atomically

MAX_PIXELS = 2 * (Image.MAX_IMAGE_PIXELS or 89_478_485)  # 179 million, at which Pillow refuses too, if it has a limit
_END = b"\xff\xd9"  # of a JPEG
_TAILS = (b"", *(b"".join(bits * 256 + bytes((0xFF, 0xD0 + i)) for i in range(8)) for bits in (b"U", b"\xaa\xfe")))
_UPRIGHT = {  # by EXIF orientation
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def open_picture(
    source: FileSource, what: str, max_pixels: int | None = None
) -> tuple[Image.Image, ImageFile.ImageFile, int]:
    """Open and decode an image file.

    A JPEG that lacks only its end marker is read; one that lacks pixels is refused. From a HEIC with several images,
    the primary one is read.

    Args:
        source: path of the file, or its content.
        what: its name in messages, such as `"photo"`.
        max_pixels: maximum width times height, half as much for a JPEG 2000, checked before anything is decoded; None:
            MAX_PIXELS.

    Returns:
        The image, rotated upright by its EXIF orientation, with a palette or a transparent colour converted to
        channels; the image as it is in the file, with its header; and that orientation, 1 to 8.

    Raises:
        InputError: the file is absent, damaged, too large, refused by `structure.check_structure`, animated or of
            several pages, or has more than 8 bits per channel in colour.
    """
    with _opened(source, what, max_pixels) as opened:
        raw = opened
        try:
            with decoding(source, what):
                raw.load()
        except InputError:
            whole = _without_end(source) if raw.format in ("JPEG", "MPO") else None
            if not whole:
                raise
            raw = whole
        orientation = _orientation(raw)
        picture: Image.Image = raw
        if picture.mode in ("P", "PA") and picture.palette is None:
            raise InputError(f"the {what} is damaged (it has no palette): {name_of(source)}")
        with decoding(source, what):
            if picture.mode in ("1", "L", "P", "PA", "RGB"):
                plain = "L" if picture.mode in ("1", "L") else "RGB"
                wanted = plain + "A" * picture.has_transparency_data
                picture = picture if picture.mode == wanted else picture.convert(wanted)
            if orientation > 1:
                picture = picture.transpose(_UPRIGHT[orientation])
        return picture, raw, orientation


def upright_shape(source: FileSource, what: str, max_pixels: int | None = None) -> tuple[int, int]:
    """Return the height and width of an upright image, from the header of its file alone.

    Arguments and errors are those of `open_picture`, as far as the header shows the errors.
    """
    with _opened(source, what, max_pixels) as picture:
        return picture.size if _orientation(picture) >= 5 else picture.size[::-1]  # 5 to 8 are rotated by 90 degrees


@contextlib.contextmanager
def _opened(source: FileSource, what: str, max_pixels: int | None) -> Iterator[ImageFile.ImageFile]:
    """Open an image without decoding it, and check its header."""
    check_file(source, what)
    file_formats.check_heic(source, what)
    max_pixels = MAX_PIXELS if max_pixels is None else max_pixels
    structure.check_structure(source, what, max_pixels)
    formats = file_formats.readable()
    with decoding(source, what):
        picture = Image.open(io.BytesIO(source) if isinstance(source, bytes) else source, formats=formats)
    with picture:
        _check_header(picture, source, what, max_pixels)
        yield picture


def _without_end(source: FileSource) -> ImageFile.ImageFile | None:
    """Decode a JPEG without its end marker; return None if it lacks pixels too.

    libjpeg reads missing data as zeros. Other bits in their place, with all restart markers, change the image unless
    nothing is missing. (A progressive JPEG that was cut between two scans has all pixels, but coarser ones.)
    """
    content = (source if isinstance(source, bytes) else Path(source).read_bytes()).rstrip(b"\xff")
    if content.endswith((_END, b"\0\0")):  # damaged elsewhere, or the rest of the file was never written
        return None
    first: ImageFile.ImageFile | None = None
    try:
        for tail in _TAILS:
            picture = Image.open(io.BytesIO(content + tail + _END), formats=("JPEG", "MPO"))
            if first is None:
                first = picture
            elif ImageChops.difference(first, picture).getbbox():
                return None
    except Exception:  # of Pillow
        return None
    return first


def _orientation(picture: Image.Image) -> int:
    """Return the EXIF orientation, 1 to 8; 1 if it is missing or unreadable."""
    try:
        orientation = picture.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # of Pillow, on a damaged block
        return 1
    return orientation if orientation in _UPRIGHT else 1


def _check_header(picture: ImageFile.ImageFile, source: FileSource, what: str, max_pixels: int) -> None:
    """Check what can be checked before anything is decoded."""
    width, height = picture.size
    name = name_of(source)
    deep = picture.format == "JPEG2000"  # which takes 19 bytes per pixel to decode and 39 to encode
    most = max_pixels // 2 if deep else max_pixels
    if width * height > most:
        of = " for a JPEG 2000" if deep else ""
        raise TooLargeError(
            f"the {what} is too large: {width}x{height} is {width * height / 1e6:g} megapixels, the limit{of} is "
            f"{most / 1e6:g}: {name}"
        )
    with decoding(source, what):
        animated = getattr(picture, "is_animated", False)  # n_frames would read all directories of a TIFF
        bits = picture.tag_v2.get(258) if isinstance(picture, TiffImagePlugin.TiffImageFile) else None
    if animated and picture.format not in ("MPO", "HEIF"):  # which have a main image, and additions to it
        raise InputError(f"the {what} is animated or has several pages; save the one to use as a file: {name}")
    depth = max(bits, default=1) if isinstance(bits, tuple) else _bits(picture)
    if not picture.mode.startswith(("I", "F")) and depth > 8:  # Pillow would cut off the low bits
        raise InputError(f"the {what} must have 8 bits per channel, not {depth}: {name}")


def _bits(picture: ImageFile.ImageFile) -> int:
    """Return the bits per channel of a file other than TIFF, as far as Pillow reads them from the header."""
    if picture.format == "PPM":
        return 16 if any(isinstance(tile[3], tuple) and tile[3][-1] > 255 for tile in picture.tile) else 8
    if picture.format == "PNG":
        return 16 if any(";16" in str(tile[3]) for tile in picture.tile) else 8
    bits: int = picture.info.get("bit_depth", 8)  # of HEIC
    return bits


def read_image(path: str | os.PathLike[str]) -> np.ndarray:
    """Read a photo.

    Args:
        path: an image file; EXIF orientation is applied.

    Returns:
        uint8 [H, W, 3], RGB.

    Raises:
        InputError: the file is absent or damaged, or has more than 8 bits per channel or transparent pixels.
    """
    picture, *_ = open_picture(path, "photo")
    if picture.mode.startswith(("I", "F")):
        raise InputError(f"the photo must have 8 bits per channel, not mode {picture.mode}: {path}")
    with decoding(path, "photo"):
        if picture.has_transparency_data:
            picture = picture.convert("RGBA")
        lowest = picture.getchannel("A").getextrema()[0] if picture.mode == "RGBA" else 255
        picture = picture.convert("RGB")
    if lowest != 255:
        raise InputError(
            f"the photo has transparent pixels, which are not supported here; save it without alpha: {path}"
        )
    return np.array(picture)


def write_image(path: str | Path, image: np.ndarray) -> None:
    """Write an image atomically (temporary name, then rename), in the format of its suffix.

    Args:
        path: the file; its folder is created.
        image: uint8 [H, W, 3], RGB.

    Raises:
        InputError: see `file_formats.check_output`; or the file cannot be written.
    """
    write_picture(path, Image.fromarray(image), file_formats.check_output(Path(path)))


def write_picture(
    target: str | Path | BinaryIO,
    picture: Image.Image,
    file_format: str,
    options: Mapping[str, Any] | None = None,
    finish: Callable[[BinaryIO], None] | None = None,
) -> None:
    """Write a Pillow image; to a path atomically, in a folder that is created if needed.

    Args:
        target: path of the file, or an open binary file.
        picture: what to write.
        file_format: Pillow's name, such as `"PNG"`.
        options: options for Pillow's `save`; None: those for a new image.
        finish: called with the written file, open for reading and writing, before it gets its name.

    Raises:
        InputError: it cannot be written.
    """
    if options is None:
        options = {"quality": 95} if file_format in ("JPEG", "WEBP") else {}

    def write(part: Path | BinaryIO) -> None:
        try:
            picture.save(part, format=file_format, **options)
        except MemoryError as error:
            raise TooLargeError(f"not enough memory to write the image as {file_format}") from error
        except Exception as error:  # of Pillow
            if isinstance(error, OSError) and error.errno is not None:
                raise  # a system error: a full disk, no permission
            raise UnwritableError(f"cannot write the image as {file_format}: {first_line(error)}") from error
        if finish and isinstance(part, Path):
            with open(part, "r+b") as file:
                finish(file)
        elif finish:
            finish(cast(BinaryIO, part))

    if isinstance(target, str | Path):
        make_folder(Path(target).parent)
        write_atomically(target, write)
    else:
        write(target)
