"""Pictures as arrays: reading, writing, ranges, scaling, compositing. The only place that knows them.

Here an image is uint8 [H, W, 3] RGB and a mask uint8 [H, W], 1 = hole. Inside the networks an image is
float32 in [-1, 1]; the exported graphs take and give uint8, so that no caller needs to know that.
Scaling never mixes hole and known pixels: what lies under the mask cannot reach the answer.
"""

import os
import secrets
import struct
import warnings
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

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


def write_atomically(path, write):
    """Calls `write` with a temporary path in the same folder and renames the result to `path`.

    Args:
        path: str or Path.
        write: function of the temporary Path.

    Raises:
        InputError: the folder is absent or may not be written, or the disk is full.
    """
    path = Path(path)
    part = path.with_name(f".{secrets.token_hex(4)}{''.join(path.suffixes[-2:])}")
    try:
        write(part)
        os.replace(part, path)
    except (OSError, ValueError) as error:
        raise InputError(f"cannot write {path}: {getattr(error, 'strerror', None) or first_line(error)}") from error
    finally:
        part.unlink(missing_ok=True)


def resize_image(image, height, width, resample=Image.Resampling.BICUBIC):
    """Scales a picture, with antialiasing where it shrinks.

    Args:
        image: uint8 [H, W, 3].
        height, width: int, pixels.
        resample: a Pillow filter. Defaults to bicubic.

    Returns:
        uint8 [height, width, 3].
    """
    if image.shape[:2] == (height, width):
        return image
    return np.array(Image.fromarray(image).resize((width, height), resample))


def resize_mask(mask, height, width):
    """Scales a mask so that each pixel that a hole pixel has touched is hole.

    Args:
        mask: [H, W], nonzero = hole.
        height, width: int, pixels.

    Returns:
        uint8 [height, width] of 0 and 1.
    """
    hole = (mask != 0).astype(np.float32)
    if hole.shape != (height, width):
        # Bilinear weights are never negative, and in float32 none is rounded to nothing.
        hole = np.array(Image.fromarray(hole).resize((width, height), Image.Resampling.BILINEAR))
    return (hole > 0).astype(np.uint8)


def resize_pair(image, mask, height, width):
    """Scales a photo and its mask without mixing hole and known pixels.

    The hole is set to 0 first, so that what lies under it is gone; a scaled pixel that a hole pixel touched is
    hole, and every other is the plain weighted mean of known pixels only (their weights sum to one, so that
    the normalised form, image times known over known, is the same number).

    Args:
        image: uint8 [H, W, 3].
        mask: [H, W], nonzero = hole.
        height, width: int, pixels.

    Returns:
        (image uint8 [height, width, 3] with 0 in its hole, mask uint8 [height, width] of 0 and 1).
    """
    mask = (mask != 0).astype(np.uint8)
    clean = np.where(mask[..., None], np.uint8(0), image)
    small_mask = resize_mask(mask, height, width)
    small = resize_image(clean, height, width, Image.Resampling.BILINEAR)
    return np.where(small_mask[..., None], np.uint8(0), small), small_mask


def to_unit(levels):
    """From grey levels to the networks' range: 0 .. 255 to -1 .. 1.

    Args:
        levels: float array or tensor.

    Returns:
        The same kind.
    """
    return levels / 127.5 - 1.0


def to_levels(image):
    """From the networks' range to grey levels, neither rounded nor clipped: -1 .. 1 to 0 .. 255.

    Args:
        image: float array or tensor.

    Returns:
        The same kind.
    """
    return (image + 1.0) * 127.5


def from_float(image):
    """From the networks' range to a picture.

    Args:
        image: float array [H, W, 3] in [-1, 1].

    Returns:
        uint8 [H, W, 3].
    """
    return np.clip(np.round(to_levels(image)), 0, 255).astype(np.uint8)


def composite(image, filled, mask):
    """The filled picture in the hole, the photo elsewhere, by selection: known pixels stay bit for bit.

    Args:
        image, filled: uint8 [H, W, 3].
        mask: [H, W], nonzero = hole.

    Returns:
        uint8 [H, W, 3].
    """
    return np.where((mask != 0)[..., None], filled, image)
