"""Picture files: finding, reading and writing them, and what is wrong with one in a sentence."""

import contextlib
import functools
import io
import struct
import warnings
import zlib
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from shiftnet_tf.errors import InputError, TooLargeError, UnwritableError, first_line
from shiftnet_tf.system.atomic import write_atomically

PHOTO_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")
OUTPUT_FORMATS = ("PNG", "TIFF", "JPEG", "WEBP", "BMP", "AVIF", "JPEG2000", "PPM", "TGA", "HEIF")
LOSSY_FORMATS = ("JPEG", "MPO", "WEBP", "AVIF", "JPEG2000", "HEIF")
MAX_PIXELS = 2 * Image.MAX_IMAGE_PIXELS  # 179 million, where Pillow refuses too
_READABLE = (*OUTPUT_FORMATS, "MPO", "GIF")  # Pillow knows more, which start other programs or are old
_DAMAGED = (OSError, SyntaxError, ValueError, TypeError, IndexError, KeyError, RuntimeError, MemoryError, EOFError)
_DAMAGED += (OverflowError, ZeroDivisionError, AttributeError, struct.error, zlib.error, Image.DecompressionBombError)


def find_photos(folder, suffixes=PHOTO_SUFFIXES):
    """All photos below a folder, nested ones too, sorted by their path.

    Args:
        folder: str or Path.
        suffixes: tuple of str in lower case. Defaults to those of JPEG, PNG and WebP.

    Returns:
        list of Path.
    """
    folder = Path(folder)
    found = (path for path in folder.rglob("*") if path.suffix.lower() in suffixes and path.is_file())
    return sorted(found, key=lambda path: path.relative_to(folder).as_posix())


def open_picture(source, what, max_pixels=None):
    """Opens and decodes a picture file.

    Args:
        source: str or Path of a file, or bytes, its content.
        what: str, for the messages, such as `"photo"`.
        max_pixels: int, width times height that is accepted, looked at before anything is decoded; None: MAX_PIXELS.

    Returns:
        (the picture, turned upright by its EXIF orientation; the same as it is in the file, with all that its header
        says), both of Pillow; where nothing is to be turned they are one.

    Raises:
        InputError: absent, damaged, too large, animated or of several pages, or more than 8 bits a channel in colour.
    """
    with _opened(source, what, max_pixels) as picture:
        picture.load()
        return (ImageOps.exif_transpose(picture) if _orientation(picture) > 1 else picture), picture


def upright_shape(source, what, max_pixels=None):
    """The size of a picture file, turned upright, from its header alone.

    Args:
        source, what, max_pixels: see `open_picture`.

    Returns:
        (int, int), height and width.

    Raises:
        InputError: what the header says against it, see `open_picture`.
    """
    with _opened(source, what, max_pixels) as picture:
        return picture.size if _orientation(picture) >= 5 else picture.size[::-1]  # 5 to 8 lie on their side


@contextlib.contextmanager
def _opened(source, what, max_pixels):
    """The opened picture, nothing decoded yet; whatever goes wrong with it is an InputError."""
    name = name_of(source)
    formats = _readable()
    file = io.BytesIO(source) if isinstance(source, bytes) else source
    with decoding(source, what), Image.open(file, formats=formats) as picture:
        _check_header(picture, what, name, MAX_PIXELS if max_pixels is None else max_pixels)
        yield picture


def _orientation(picture):
    """1 to 8, as EXIF says it; 1 where it says nothing that can be read."""
    try:
        orientation = picture.getexif().get(ExifTags.Base.Orientation, 1)
    except _DAMAGED:
        return 1
    return orientation if orientation in range(1, 9) else 1


def name_of(source):
    """What a message calls a source: its path, or that it was sent."""
    return "(sent)" if isinstance(source, bytes) else str(source)


@contextlib.contextmanager
def decoding(source, what):
    """Says in a sentence what is wrong with a picture file, whatever Pillow raises."""
    name = name_of(source)
    if not isinstance(source, bytes):
        if not Path(source).exists():
            raise InputError(f"the {what} does not exist: {name}")
        if not Path(source).is_file():
            raise InputError(f"the {what} must be a picture file, not a folder or a device: {name}")
    try:
        yield
    except InputError:
        raise
    except UnidentifiedImageError as error:
        raise InputError(f"the {what} is no picture that Pillow can read: {name}") from error
    except PermissionError as error:
        raise InputError(f"the {what} may not be read (permission denied): {name}") from error
    except _DAMAGED as error:
        raise InputError(f"the {what} is damaged or too large ({first_line(error)}): {name}") from error


def _check_header(picture, what, name, max_pixels):
    """What can be said before anything is decoded."""
    width, height = picture.size
    if width * height > max_pixels:
        raise TooLargeError(
            f"the {what} is too large: {width}x{height} are {width * height / 1e6:.0f} megapixels, the limit is "
            f"{max_pixels / 1e6:g}: {name}"
        )
    if picture.format != "MPO" and getattr(picture, "n_frames", 1) > 1:  # an MPO is a phone's JPEG with additions
        raise InputError(f"the {what} is animated or has several pages, save the one that is meant: {name}")
    if not picture.mode.startswith(("I", "F")) and _bits(picture) > 8:  # Pillow would cut the low ones off
        raise InputError(f"the {what} must have 8 bits a channel. Received {_bits(picture)}: {name}")


def readable_suffixes():
    """The suffixes of all files that can be read here: tuple of str in lower case."""
    formats = _readable()
    return tuple(suffix for suffix, name in Image.registered_extensions().items() if name in formats)


def _bits(picture):
    """Bits a channel that the file has, as far as its header says so where Pillow looks."""
    if picture.format == "TIFF":
        return max(picture.tag_v2.get(258, (1,)))
    if picture.format == "PPM":
        return 16 if any(isinstance(tile[3], tuple) and tile[3][-1] > 255 for tile in picture.tile) else 8
    if picture.format == "PNG":
        return 16 if any(";16" in str(tile[3]) for tile in picture.tile) else 8
    return picture.info.get("bit_depth", 8)  # of HEIC


@functools.cache
def _readable():
    """The formats that are read: those of _READABLE that this Pillow knows, HEIC where its package is installed."""
    with contextlib.suppress(ImportError):
        import pillow_heif

        pillow_heif.register_heif_opener()
    Image.init()
    warnings.filterwarnings("ignore", module=r"PIL\.")  # the limit of pixels is our own, and odd EXIF is no harm
    return tuple(name for name in _READABLE if name in Image.OPEN)


def read_image(path):
    """Reads a photo.

    Args:
        path: str or Path of a file that Pillow can read; EXIF orientation is applied.

    Returns:
        uint8 [H, W, 3], RGB.

    Raises:
        InputError: absent, damaged, more than 8 bits a channel, or with transparent pixels.
    """
    picture, _ = open_picture(path, "photo")
    if picture.mode.startswith(("I", "F")):
        raise InputError(f"a photo must have 8 bits a channel. Received mode {picture.mode}: {path}")
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        if picture.getchannel("A").getextrema()[0] < 255:
            raise InputError(f"a photo with transparent pixels is not supported here, save it without alpha: {path}")
    return np.array(picture.convert("RGB"))


def format_of(suffix):
    """The format that a suffix such as `".png"` names: str, Pillow's name, or None where it is not written here."""
    _readable()  # has Pillow register all its formats
    name = Image.registered_extensions().get(suffix.lower())
    return name if name in OUTPUT_FORMATS and name in Image.SAVE else None


def check_output(path):
    """Refuses an output path before any work is done.

    Args:
        path: Path.

    Returns:
        str, Pillow's name of the format.

    Raises:
        InputError: unknown suffix, no such folder, or a folder.
    """
    format_name = format_of(path.suffix)
    if format_name is None:
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
    write_picture(path, Image.fromarray(image), check_output(Path(path)))


def write_picture(target, picture, file_format, options=None):
    """Writes a Pillow picture, to a path whole or not at all.

    Args:
        target: str or Path, or a binary file.
        picture: Pillow's.
        file_format: str, Pillow's name, such as `"PNG"`.
        options: dict for Pillow's `save`; None: those of a new picture.

    Raises:
        InputError: it cannot be written.
    """
    if options is None:
        options = {"quality": 95} if file_format in ("JPEG", "WEBP") else {}

    def write(part):
        try:
            picture.save(part, format=file_format, **options)
        except _DAMAGED as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise  # of the system: a full disk, no permission
            raise UnwritableError(f"the picture cannot be written as {file_format}: {first_line(error)}") from error

    if isinstance(target, str | Path):
        write_atomically(target, write)
    else:
        write(target)
