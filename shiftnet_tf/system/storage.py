"""Files in object stores (`s3://bucket/photos`, `gs://...`), read and written by fsspec, next to local files."""

import functools
import importlib
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

from shiftnet_tf.errors import InputError, MissingPackageError, ShiftNetError, first_line

_URL = re.compile(r"(?P<protocol>[a-z][a-z0-9+.-]+)://(?P<bucket>[^/]*)(?P<rest>.*)", re.DOTALL)
_EXTRAS = {"s3": '"shiftnet-tf[s3]"', "gs": "gcsfs"}  # protocol -> argument for `pip install`
_T = TypeVar("_T")


@dataclass(frozen=True, order=True)
class Url(os.PathLike[str]):
    """A file or folder in an object store, with the methods of `pathlib.Path` that photos and masks need.

    A store writes a file completely or not at all, and has no folders, only names with slashes.

    Attributes:
        url: such as `"s3://bucket/photos/a.jpg"`, without a trailing slash.
    """

    url: str

    def __fspath__(self) -> str:
        return self.url

    def __str__(self) -> str:
        return self.url

    def __truediv__(self, name: str | os.PathLike[str]) -> "Url":
        return Url(f"{self.url}/{PurePosixPath(name)}")

    @property
    def name(self) -> str:
        """The last part."""
        return self.url.rpartition("/")[2]

    @property
    def suffix(self) -> str:
        """The suffix of the name, such as `".jpg"`."""
        return PurePosixPath(self.name).suffix

    def relative_to(self, other: "Place") -> Path:
        """Return the path relative to a folder."""
        return Path(PurePosixPath(self.url).relative_to(PurePosixPath(other)))

    def is_relative_to(self, other: "Place") -> bool:
        """Tell whether it is a folder or inside it."""
        return PurePosixPath(self.url).is_relative_to(PurePosixPath(other))

    def exists(self) -> bool:
        """Tell whether the file exists, or a file in the folder."""
        return bool(self._call("read", lambda store, path: store.exists(path)))

    def is_dir(self) -> bool:
        """Tell whether there is a file in it."""
        return bool(self._call("read", lambda store, path: store.isdir(path)))

    def read_bytes(self) -> bytes:
        """Return the content of the file."""
        return bytes(self._call("read", lambda store, path: store.cat_file(path)))

    def write_bytes(self, content: bytes) -> None:
        """Write the file."""
        self._call("write", lambda store, path: store.pipe_file(path, content))

    def find(self, suffixes: tuple[str, ...]) -> list["Url"]:
        """Return the files in it, at any depth, that have one of the suffixes (lower case), sorted by path.

        Files and folders whose names begin with a dot are skipped.
        """

        def below(store: Any, path: str) -> list[str]:
            store.invalidate_cache()
            return [name.removeprefix(path).lstrip("/") for name in store.find(path)]

        names = [PurePosixPath(name) for name in self._call("read", below)]
        shown = [name for name in names if not any(part.startswith(".") for part in name.parts)]
        return [self / name for name in sorted(shown, key=str) if name.suffix.lower() in suffixes]

    @property
    def bucket(self) -> "Url":
        """Its bucket."""
        protocol, bucket, _ = _parts(self.url)
        return Url(f"{protocol}://{bucket}")

    def check(self) -> None:
        """Refuse a bucket that does not exist or cannot be read.

        Raises:
            InputError: the bucket is one, or the store does not answer.
        """
        self._call("read", lambda store, path: store.invalidate_cache() or store.info(path))

    def _call(self, verb: str, call: Callable[[Any, str], _T]) -> _T:
        """Call a file system; treat any exception as an error of the store, because each library has its own."""
        protocol, *_ = _parts(self.url)
        store = _store(protocol)
        try:
            return call(store, str(store._strip_protocol(self.url)))
        except Exception as error:
            reason = first_line(error) if str(error) else type(error).__name__
            raise InputError(f"cannot {verb} {self.url}: {reason}") from error


Place = Path | Url


def place(path: str | os.PathLike[str]) -> Place:
    """Return the place that a path or URL names: a local `Path`, or a `Url`.

    Raises:
        InputError: a URL without the name of a bucket.
        MissingPackageError: no package for such URLs is installed.
    """
    if isinstance(path, Path | Url):
        return path
    text = os.fspath(path)
    if not _URL.fullmatch(text):
        return Path(text)
    protocol, bucket, rest = _parts(text)
    if protocol == "file":
        return Path(rest)
    if not bucket:
        raise InputError(f"the URL needs a bucket, such as {protocol}://bucket/photos. Received: {text!r}")
    _store(protocol)
    return Url(text.rstrip("/"))


def is_url(text: str) -> bool:
    """Tell whether a name is a URL rather than a path."""
    return bool(_URL.fullmatch(text))


def _parts(url: str) -> tuple[str, str, str]:
    found = _URL.fullmatch(url)
    assert found is not None
    return found["protocol"], found["bucket"], found["rest"]


@functools.cache
def _store(protocol: str) -> Any:
    """Return the file system of a protocol, which takes its credentials from the environment."""
    install = _EXTRAS.get(protocol, '"shiftnet-tf[s3]"')
    try:
        fsspec = importlib.import_module("fsspec")
        return fsspec.filesystem(protocol)
    except ImportError as error:
        raise MissingPackageError(
            f"{protocol}:// needs a package that is not installed ({first_line(error)}): pip install {install}"
        ) from error
    except ShiftNetError:
        raise
    except Exception as error:
        raise InputError(f"cannot open {protocol}://: {first_line(error)}") from error
