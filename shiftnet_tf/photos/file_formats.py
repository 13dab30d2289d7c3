"""File formats of images: which are read and written here, and by which suffix."""

import contextlib
import functools
import warnings
from pathlib import Path

from PIL import Image

from shiftnet_tf.errors import InputError, MissingPackageError
from shiftnet_tf.photos.sources import FileSource, name_of, read_bytes
from shiftnet_tf.system.atomic import existing_parent, link_target

OUTPUT_FORMATS = ("PNG", "TIFF", "JPEG", "WEBP", "BMP", "AVIF", "JPEG2000", "PPM", "TGA", "HEIF")
LOSSY_FORMATS = ("JPEG", "MPO", "WEBP", "AVIF", "JPEG2000", "HEIF")
_READABLE = (*OUTPUT_FORMATS, "MPO", "GIF")  # Pillow knows others, which run external programs or are obsolete
_NO_HEIC = "HEIC needs the package pillow-heif, which is not installed: pip install pillow-heif"
_HEIC_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"}
_HEIC_SUFFIXES = (".heic", ".heics", ".heif", ".heifs", ".hif")


@functools.cache
def readable() -> tuple[str, ...]:
    """Return the formats of _READABLE that this Pillow knows, with HEIC if its package is installed."""
    with contextlib.suppress(ImportError):
        import pillow_heif

        pillow_heif.register_heif_opener()
    Image.init()
    warnings.filterwarnings("ignore", module=r"PIL\.")  # we limit the pixels ourselves, and odd EXIF does no harm
    return tuple(name for name in _READABLE if name in Image.OPEN)


def readable_suffixes() -> tuple[str, ...]:
    """Return the suffixes of photo files, in lower case.

    HEIC is included even without its package, so that the missing package is reported instead of the photo skipped.
    """
    formats = (*readable(), "MPO")  # which Pillow opens as JPEG
    known = (suffix for suffix, name in Image.registered_extensions().items() if name in formats)
    return tuple(dict.fromkeys([*known, *_HEIC_SUFFIXES]))


def check_heic(source: FileSource, what: str) -> None:
    """Refuse a HEIC file, recognised by its brands, if the package that reads it is not installed.

    Raises:
        MissingPackageError: it is a HEIC file; the message contains the `pip install` line.
    """
    if "HEIF" in readable():
        return
    start = read_bytes(source, what, 64)
    brands = {start[i : i + 4] for i in (8, *range(16, min(len(start), int.from_bytes(start[:4], "big")), 4))}
    if start[4:8] == b"ftyp" and brands & _HEIC_BRANDS and not brands & {b"avif", b"avis"}:
        raise MissingPackageError(f"{_NO_HEIC}: {name_of(source)}")


def format_of(suffix: str) -> str | None:
    """Return Pillow's name of the format for a suffix such as `".png"`, or None if it cannot be written here."""
    readable()  # makes Pillow register all its formats
    name = Image.registered_extensions().get(suffix.lower())
    return name if name in OUTPUT_FORMATS and name in Image.SAVE else None


def check_output(path: Path) -> str:
    """Check an output path before any work is done and return Pillow's name of its format.

    Raises:
        InputError: the suffix is unknown, the path is a folder or a dangling link, or its folder cannot be created
            because a file has its name.
    """
    format_name = check_suffix(path.name)
    if not (there := existing_parent(path.parent)).is_dir():
        raise InputError(f"cannot create the folder {path.parent}: {there} is a file")
    if path.is_dir():
        raise InputError(f"the output must be a file, not a folder: {path}")
    link_target(path)
    return format_name


def check_suffix(name: str) -> str:
    """Return Pillow's name of the format of an output file of this name.

    Raises:
        InputError: the suffix is unknown, or its format cannot be written here.
    """
    suffix = Path(name).suffix.lower()
    format_name = format_of(suffix)
    if format_name is not None:
        return format_name
    if suffix in _HEIC_SUFFIXES:
        raise MissingPackageError(f"{_NO_HEIC}: {name}")
    if suffix == ".gif":
        raise InputError(f"the 256 colours of a GIF are too few for the result: write a .png. Received: {name!r}")
    raise InputError(f"the output needs a known image suffix such as .png or .jpg. Received: {name!r}")


def result_name(path: Path) -> Path:
    """Return a photo's path with the suffix of the default format of its result.

    That is the photo's own format, except for GIF (PNG) and a phone's MPO (JPEG), see `photo.Photo.own_format`.
    """
    known = format_of(path.suffix) or path.suffix.lower() in _HEIC_SUFFIXES
    return path if known else path.with_suffix(".jpg" if path.suffix.lower() == ".mpo" else ".png")
