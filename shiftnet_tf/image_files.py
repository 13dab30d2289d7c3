"""Picture files: finding, reading and writing them, and what is wrong with one in a sentence."""

import struct
import warnings
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from shiftnet_tf.atomic import write_atomically
from shiftnet_tf.errors import InputError, first_line

PHOTO_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")
OUTPUT_FORMATS = ("PNG", "TIFF", "JPEG", "WEBP", "BMP", "AVIF", "JPEG2000", "PPM", "TGA")
_DAMAGED = (OSError, SyntaxError, ValueError, RuntimeError, struct.error, Image.DecompressionBombError)
_LOSSY_FORMATS = ("JPEG", "MPO", "WEBP", "AVIF", "JPEG2000")


def find_photos(folder):
    """All photos (JPEG, PNG, WebP) below a folder, nested ones too, sorted by their path.

    Args:
        folder: str or Path.

    Returns:
        list of Path.
    """
    folder = Path(folder)
    found = (path for path in folder.rglob("*") if path.suffix.lower() in PHOTO_SUFFIXES and path.is_file())
    return sorted(found, key=lambda path: path.relative_to(folder).as_posix())


def _open(path, what):
    """Opens and decodes a picture file: the picture, turned upright by its EXIF orientation, and its format."""
    path = Path(path)
    if not path.exists():
        raise InputError(f"the {what} does not exist: {path}")
    if path.is_dir():
        raise InputError(f"the {what} must be a picture file, not a folder: {path}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow refuses the real bombs, and odd EXIF is no harm
            with Image.open(path) as picture:
                deep = any(str(tile[3]).find(";16") >= 0 for tile in picture.tile)  # Pillow would cut the low bytes off
                if deep and not picture.mode.startswith("I"):
                    raise InputError(f"the {what} must have 8 bits a channel. Received 16: {path}")
                picture.load()
                return ImageOps.exif_transpose(picture), picture.format
    except InputError:
        raise
    except UnidentifiedImageError as error:
        raise InputError(f"the {what} is no picture that Pillow can read: {path}") from error
    except PermissionError as error:
        raise InputError(f"the {what} may not be read (permission denied): {path}") from error
    except _DAMAGED as error:
        raise InputError(f"the {what} is damaged or too large ({first_line(error)}): {path}") from error


def picture_format(path):
    """What a picture file is, whatever its name says.

    Args:
        path: str or Path of a file that Pillow can read.

    Returns:
        str, Pillow's name of the format, such as `"PNG"`.
    """
    with Image.open(path) as picture:
        return picture.format


def _opaque(picture, what, path):
    """The pixels uint8 [H, W, 3]; refuses transparent ones, whose colour means nothing."""
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        if picture.getchannel("A").getextrema()[0] < 255:
            raise InputError(f"a {what} with transparent pixels is not supported, save it without alpha: {path}")
    return np.array(picture.convert("RGB"))


def image_size(path):
    """Width and height of a picture file, from its header alone.

    Args:
        path: str or Path.

    Returns:
        (int, int), or None for a file that Pillow cannot read.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(path) as picture:
                return picture.size
    except _DAMAGED:
        return None


def read_image(path):
    """Reads a photo.

    Args:
        path: str or Path of a file that Pillow can read; EXIF orientation is applied.

    Returns:
        uint8 [H, W, 3], RGB.

    Raises:
        InputError: absent, damaged, more than 8 bits a channel, or with transparent pixels.
    """
    picture, _ = _open(path, "photo")
    if picture.mode.startswith(("I", "F")):
        raise InputError(f"a photo must have 8 bits a channel. Received mode {picture.mode}: {path}")
    return _opaque(picture, "photo", path)


def read_mask(path):
    """Reads a mask file: every pixel that is not black is hole; in a lossy format, that is lighter than middle grey.

    Args:
        path: str or Path of a file that Pillow can read.

    Returns:
        uint8 [H, W] of 0 and 1, 1 = hole.

    Raises:
        InputError: absent, damaged, or with transparent pixels.
    """
    picture, file_format = _open(path, "mask")
    if picture.mode.startswith(("I", "F")):
        pixels = np.array(picture)
    elif picture.mode == "1":
        pixels = np.array(picture.convert("L"))
    else:
        pixels = _opaque(picture, "mask", path).max(axis=-1)
    if file_format in _LOSSY_FORMATS:
        return (pixels > 127).astype(np.uint8)  # black is seldom 0 there
    return (pixels != 0).astype(np.uint8)


def check_output(path):
    """Refuses an output path before any work is done.

    Args:
        path: Path.

    Returns:
        str, Pillow's name of the format.

    Raises:
        InputError: unknown suffix, no such folder, or a folder.
    """
    format_name = Image.registered_extensions().get(path.suffix.lower())
    if format_name not in OUTPUT_FORMATS or format_name not in Image.SAVE:
        raise InputError(f"an output picture needs a known suffix such as .png or .jpg. Received: {path.name!r}")
    if not path.parent.is_dir():
        raise InputError(f"the output folder does not exist: {path.parent}")
    if path.is_dir():
        raise InputError(f"the output must be a file, not a folder: {path}")
    return format_name


def write_image(path, image):
    """Writes a picture whole or not at all (temporary name, then rename), in the format of its suffix.

    Args:
        path: str or Path; the folder must exist.
        image: uint8 [H, W, 3], RGB.

    Raises:
        InputError: see `check_output`; or the file cannot be written.
    """
    path = Path(path)
    format_name = check_output(path)
    options = {"quality": 95} if format_name in ("JPEG", "WEBP") else {}
    write_atomically(path, lambda part: Image.fromarray(image).save(part, format=format_name, **options))
