"""Checks on untrusted files: they must be regular files inside their folder, of bounded size."""

import os
import stat
from pathlib import Path

from shiftnet_tf.errors import InputError, first_line


def check_regular(path: Path, folder: Path, most: int) -> None:
    """Refuse a file, or a folder of files, that leads out of its folder, has no end or is too large.

    Args:
        path: the file or folder, which may be a symbolic link within `folder`.
        folder: the folder that must contain it.
        most: maximum bytes of all its files together.

    Raises:
        InputError: it leads out of the folder, is or contains a FIFO, device or socket, or is larger.
    """
    root, size = os.path.realpath(folder), 0
    for item in (path, *sorted(path.rglob("*"))):
        if os.path.commonpath([root, os.path.realpath(item)]) != root:
            raise InputError(f"{item} is a symbolic link out of {folder}: replace it with the file itself")
        if item != path and item.is_symlink() and item.is_dir():  # not part of its SHA-256
            raise InputError(f"{item} is a symbolic link to a folder: replace it with the folder itself")
        try:
            status = item.stat()
        except OSError as error:
            raise InputError(f"cannot read {item}: {first_line(error)}") from error
        if not stat.S_ISREG(status.st_mode) and not stat.S_ISDIR(status.st_mode):
            raise InputError(f"{item} is not a regular file")
        size += status.st_size if stat.S_ISREG(status.st_mode) else 0
        if size > most:
            raise InputError(f"{path} is too large: at least {size:,} bytes, the limit is {most:,}")
