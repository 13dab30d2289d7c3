"""Picture files: find, read and write them, and say in one sentence what is wrong with one."""

import contextlib
import functools
import heapq
import io
import logging
import os
import struct
import warnings
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
from PIL import ExifTags, Image, ImageFile, ImageOps, TiffImagePlugin, UnidentifiedImageError

from shiftnet_tf.errors import InputError, MissingPackageError, TooLargeError, UnwritableError, first_line
from shiftnet_tf.system.atomic import link_target, write_atomically

FileSource = str | os.PathLike[str] | bytes  # the path of a file, or its content
PHOTO_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")
OUTPUT_FORMATS = ("PNG", "TIFF", "JPEG", "WEBP", "BMP", "AVIF", "JPEG2000", "PPM", "TGA", "HEIF")
LOSSY_FORMATS = ("JPEG", "MPO", "WEBP", "AVIF", "JPEG2000", "HEIF")
MAX_PIXELS = 2 * (Image.MAX_IMAGE_PIXELS or 89_478_485)  # 179 million, where Pillow refuses too, if it has a limit
_READABLE = (*OUTPUT_FORMATS, "MPO", "GIF")  # Pillow knows more, which start other programs or are old
_NO_HEIC = 'HEIC needs the package pillow-heif, which is not installed: pip install pillow-heif, or the extra ".[heic]"'
_HEIC_SUFFIXES = (".heic", ".heics", ".heif", ".heifs", ".hif")
_DAMAGED = (
    *(OSError, SyntaxError, ValueError, TypeError, IndexError, KeyError, RuntimeError, MemoryError, EOFError),
    *(OverflowError, ZeroDivisionError, AttributeError, struct.error, zlib.error, Image.DecompressionBombError),
)


logger = logging.getLogger(__name__)


def find_photos(folder: str | os.PathLike[str], suffixes: tuple[str, ...] = PHOTO_SUFFIXES) -> list[Path]:
    """Return the files of `find_files` that have one of the suffixes (lower case), sorted by path."""
    folder = Path(folder)
    found = (path for path in find_files(folder) if path.suffix.lower() in suffixes)
    return sorted(found, key=lambda path: path.relative_to(folder).as_posix())


def find_files(folder: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield all files below a folder, nested ones too, in no order.

    Names that begin with a dot are skipped, files and folders: macOS keeps an attribute file `._photo.jpg` beside each
    photo, and unfinished files have such names. Symbolic links to folders are followed, and each folder is entered
    once, under its own name rather than that of a link: links can neither loop nor double a photo.
    """
    folders, links, seen = [str(folder)], list[str](), set[tuple[int, int]]()
    while folders or links:
        place = folders.pop() if folders else heapq.heappop(links)  # the same link first on every machine
        try:
            status = os.stat(place)
            entries = [] if (status.st_dev, status.st_ino) in seen else list(os.scandir(place))
        except OSError as error:
            if not isinstance(error, FileNotFoundError):
                logger.warning("%s: left out: %s", place, error.strerror)
            continue
        seen.add((status.st_dev, status.st_ino))
        for entry in entries:
            if entry.name.startswith("."):
                continue
            with contextlib.suppress(OSError):  # a link that loops
                if entry.is_file():
                    yield Path(entry.path)
                elif entry.is_dir() and entry.is_symlink():
                    heapq.heappush(links, entry.path)
                elif entry.is_dir():
                    folders.append(entry.path)


def open_picture(
    source: FileSource, what: str, max_pixels: int | None = None
) -> tuple[Image.Image, ImageFile.ImageFile, int]:
    """Open and decode a picture file.

    Args:
        source: path of the file, or its content.
        what: what the messages call it, such as `"photo"`.
        max_pixels: width times height that is accepted, checked before anything is decoded; None: MAX_PIXELS.

    Returns:
        The picture rotated upright by its EXIF orientation; as it is in the file, with its header (one and the same
        object if it needs no rotation); and that orientation, 1 to 8.

    Raises:
        InputError: absent, damaged, too large, animated or of several pages, or more than 8 bits a channel in colour.
    """
    with _opened(source, what, max_pixels) as picture:
        picture.load()
        orientation = _orientation(picture)
        return (ImageOps.exif_transpose(picture) if orientation > 1 else picture), picture, orientation


def upright_shape(source: FileSource, what: str, max_pixels: int | None = None) -> tuple[int, int]:
    """Return height and width of a picture file, rotated upright, from its header alone.

    Arguments and errors are those of `open_picture`, the errors as far as the header shows them.
    """
    with _opened(source, what, max_pixels) as picture:
        return picture.size if _orientation(picture) >= 5 else picture.size[::-1]  # 5 to 8 lie on their side


@contextlib.contextmanager
def _opened(source: FileSource, what: str, max_pixels: int | None) -> Iterator[ImageFile.ImageFile]:
    """Open a picture without decoding it; every error of Pillow becomes an InputError."""
    name = name_of(source)
    formats = _readable()
    file = io.BytesIO(source) if isinstance(source, bytes) else source
    with decoding(source, what), Image.open(file, formats=formats) as picture:
        _check_header(picture, what, name, MAX_PIXELS if max_pixels is None else max_pixels)
        yield picture


def _orientation(picture: Image.Image) -> int:
    """Return the EXIF orientation, 1 to 8; 1 if there is none that can be read."""
    try:
        orientation: int = picture.getexif().get(ExifTags.Base.Orientation, 1)
    except _DAMAGED:
        return 1
    return orientation if orientation in range(1, 9) else 1


def name_of(source: FileSource) -> str:
    """Return what a message calls a source: its path, or "(sent)" for bytes."""
    return "(sent)" if isinstance(source, bytes) else str(source)


@contextlib.contextmanager
def decoding(source: FileSource, what: str) -> Iterator[None]:
    """Turn what Pillow raises on a picture file into an InputError that says in one sentence what is wrong with it."""
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
        if _is_heic(source):
            raise MissingPackageError(f"{_NO_HEIC}: {name}") from error
        raise InputError(f"the {what} is no picture that Pillow can read: {name}") from error
    except PermissionError as error:
        raise InputError(f"the {what} may not be read (permission denied): {name}") from error
    except _DAMAGED as error:
        raise InputError(f"the {what} is damaged or too large ({first_line(error)}): {name}") from error


def _check_header(picture: ImageFile.ImageFile, what: str, name: str, max_pixels: int) -> None:
    """Check what can be checked before anything is decoded."""
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


def _is_heic(source: FileSource) -> bool:
    """Tell whether a file is a HEIC, by the brands at its beginning, and the package that reads it is absent."""
    if "HEIF" in _readable():
        return False
    if isinstance(source, bytes):
        start = source[:64]
    else:
        with open(source, "rb") as file:
            start = file.read(64)
    brands = {start[i : i + 4] for i in (8, *range(16, min(len(start), int.from_bytes(start[:4], "big")), 4))}
    known = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"}
    return start[4:8] == b"ftyp" and bool(brands & known) and not brands & {b"avif", b"avis"}


def readable_suffixes() -> tuple[str, ...]:
    """Return the suffixes of the files that are photos, in lower case: HEIC too where its package is absent, so that
    the missing package is reported rather than the photo left out."""
    formats = (*_readable(), "MPO")  # which Pillow opens as JPEG
    known = (suffix for suffix, name in Image.registered_extensions().items() if name in formats)
    return tuple(dict.fromkeys([*known, *_HEIC_SUFFIXES]))


def _bits(picture: ImageFile.ImageFile) -> int:
    """Return the bits a channel of the file, as far as Pillow reads them from its header."""
    if isinstance(picture, TiffImagePlugin.TiffImageFile):
        bits: int = max(picture.tag_v2.get(258, (1,)))
        return bits
    if picture.format == "PPM":
        return 16 if any(isinstance(tile[3], tuple) and tile[3][-1] > 255 for tile in picture.tile) else 8
    if picture.format == "PNG":
        return 16 if any(";16" in str(tile[3]) for tile in picture.tile) else 8
    bits = picture.info.get("bit_depth", 8)  # of HEIC
    return bits


@functools.cache
def _readable() -> tuple[str, ...]:
    """Return the formats of _READABLE that this Pillow knows, with HEIC if its package is installed."""
    with contextlib.suppress(ImportError):
        import pillow_heif

        pillow_heif.register_heif_opener()
    Image.init()
    warnings.filterwarnings("ignore", module=r"PIL\.")  # the limit of pixels is our own, and odd EXIF is no harm
    return tuple(name for name in _READABLE if name in Image.OPEN)


def read_image(path: str | os.PathLike[str]) -> np.ndarray:
    """Read a photo.

    Args:
        path: a file that Pillow can read; EXIF orientation is applied.

    Returns:
        uint8 [H, W, 3], RGB.

    Raises:
        InputError: absent, damaged, more than 8 bits a channel, or with transparent pixels.
    """
    picture, *_ = open_picture(path, "photo")
    if picture.mode.startswith(("I", "F")):
        raise InputError(f"a photo must have 8 bits a channel. Received mode {picture.mode}: {path}")
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        least, _ = cast(tuple[int, int], picture.getchannel("A").getextrema())  # of one channel, not of several
        if least < 255:
            raise InputError(f"a photo with transparent pixels is not supported here, save it without alpha: {path}")
    return np.array(picture.convert("RGB"))


def format_of(suffix: str) -> str | None:
    """Return Pillow's name of the format of a suffix such as `".png"`, or None if it cannot be written here."""
    _readable()  # has Pillow register all its formats
    name = Image.registered_extensions().get(suffix.lower())
    return name if name in OUTPUT_FORMATS and name in Image.SAVE else None


def check_output(path: Path) -> str:
    """Check an output path before any work is done and return Pillow's name of its format.

    Raises:
        InputError: the suffix is unknown, the folder does not exist, or the path is a folder or a link to nowhere.
    """
    format_name = check_suffix(path.name)
    if not path.parent.is_dir():
        raise InputError(f"the output folder does not exist: {path.parent}")
    if path.is_dir():
        raise InputError(f"the output must be a file, not a folder: {path}")
    link_target(path)
    return format_name


def check_suffix(name: str) -> str:
    """Return Pillow's name of the format that an output file of this name gets.

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
        raise InputError(f"a GIF has 256 colours, too few for the result: name a .png. Received: {name!r}")
    raise InputError(f"an output picture needs a known suffix such as .png or .jpg. Received: {name!r}")


def result_name(path: Path) -> Path:
    """Return a photo's path with the suffix of the format that its result is written in by default.

    It is the photo's own but for GIF (PNG) and a phone's MPO (JPEG), see `photo.Photo.own_format`.
    """
    known = format_of(path.suffix) or path.suffix.lower() in _HEIC_SUFFIXES
    return path if known else path.with_suffix(".jpg" if path.suffix.lower() == ".mpo" else ".png")


def write_image(path: str | Path, image: np.ndarray) -> None:
    """Write a picture atomically (temporary name, then rename), in the format of its suffix.

    Args:
        path: the file; the folder must exist.
        image: uint8 [H, W, 3], RGB.

    Raises:
        InputError: see `check_output`; or the file cannot be written.
    """
    write_picture(path, Image.fromarray(image), check_output(Path(path)))


def write_picture(
    target: str | Path | BinaryIO,
    picture: Image.Image,
    file_format: str,
    options: Mapping[str, Any] | None = None,
    finish: Callable[[BinaryIO], None] | None = None,
) -> None:
    """Write a Pillow picture; to a path atomically.

    Args:
        target: the file, by its path or opened.
        picture: what to write.
        file_format: Pillow's name, such as `"PNG"`.
        options: those of Pillow's `save`; None: those of a new picture.
        finish: called with the written file, opened to read and write, before it gets its name.

    Raises:
        InputError: it cannot be written.
    """
    if options is None:
        options = {"quality": 95} if file_format in ("JPEG", "WEBP") else {}

    def write(part: Path | BinaryIO) -> None:
        try:
            picture.save(part, format=file_format, **options)
        except _DAMAGED as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise  # of the system: a full disk, no permission
            raise UnwritableError(f"the picture cannot be written as {file_format}: {first_line(error)}") from error
        if finish and isinstance(part, Path):
            with open(part, "r+b") as file:
                finish(file)
        elif finish:
            finish(cast(BinaryIO, part))

    if isinstance(target, str | Path):
        write_atomically(target, write)
    else:
        write(target)
