"""Sources of images and masks, paths or contents of files; and Pillow's errors on them, in one sentence."""

import contextlib
import io
import mmap
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from PIL import UnidentifiedImageError

from shiftnet_tf.errors import InputError, TooLargeError, first_line

FileSource = str | os.PathLike[str] | bytes  # the path of a file, or its content


class Content(bytes):
    """The content of a file that is stored elsewhere.

    Attributes:
        name: its name in messages.
    """

    name: str

    def __new__(cls, content: bytes, name: str) -> "Content":
        """Take the bytes and their name."""
        self = super().__new__(cls, content)
        self.name = name
        return self


def name_of(source: FileSource) -> str:
    """Return the name of a source for messages: its path, or "(sent)" for bytes without a name."""
    if isinstance(source, Content):
        return source.name
    return "(sent)" if isinstance(source, bytes) else str(source)


def check_file(source: FileSource, what: str) -> None:
    """Refuse a path that is not a file.

    Args:
        source: path of a file, or its content.
        what: its name in messages, such as `"photo"`.

    Raises:
        InputError: it does not exist, or it is a folder or a device.
    """
    if not isinstance(source, bytes):
        if not Path(source).exists():
            raise InputError(f"the {what} does not exist: {source}")
        if not Path(source).is_file():
            raise InputError(f"the {what} must be an image file, not a folder or a device: {source}")


def read_bytes(source: FileSource, what: str, number: int = -1) -> bytes:
    """Return the first bytes of a file.

    Args:
        source: path of the file, or its content.
        what: its name in messages, such as `"mask"`.
        number: how many bytes; -1 for all.

    Raises:
        InputError: it does not exist, is not a file or cannot be read.
    """
    if isinstance(source, bytes):
        return source if number < 0 else source[:number]
    check_file(source, what)
    try:
        with open(source, "rb") as file:
            return file.read(number)
    except PermissionError as error:
        raise InputError(f"cannot read the {what} (permission denied): {source}") from error


@contextlib.contextmanager
def mapped(source: FileSource | BinaryIO) -> Iterator[bytes | mmap.mmap]:
    """Yield the content of a file without reading it whole."""
    if isinstance(source, bytes):
        yield source
    elif isinstance(source, io.BytesIO):
        yield source.getvalue()
    elif isinstance(source, str | os.PathLike):
        with open(source, "rb") as file, mapped(file) as content:
            yield content
    elif not os.fstat(source.fileno()).st_size:  # nothing to map
        yield b""
    else:
        with mmap.mmap(source.fileno(), 0, access=mmap.ACCESS_READ) as content:
            yield content


@contextlib.contextmanager
def decoding(source: FileSource, what: str) -> Iterator[None]:
    """Convert any error of Pillow on an image file to an InputError that says in one sentence what is wrong.

    The block must contain only calls to Pillow: an error in our own code is a bug, and must not look like a bad file.
    """
    name = name_of(source)
    try:
        yield
    except UnidentifiedImageError as error:
        raise InputError(f"the {what} is not an image file that Pillow can identify: {name}") from error
    except PermissionError as error:
        raise InputError(f"cannot read the {what} (permission denied): {name}") from error
    except MemoryError as error:
        raise TooLargeError(f"not enough memory for the {what}: {name}") from error
    except Exception as error:
        raise InputError(f"the {what} is damaged or too large ({first_line(error)}): {name}") from error
