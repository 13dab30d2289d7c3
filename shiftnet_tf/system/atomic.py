"""Files that are whole or not there at all, and folders in which one process works at a time."""

import contextlib
import os
import re
import secrets
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

from shiftnet_tf.errors import InputError, ShiftNetError, first_line


@contextlib.contextmanager
def locked(folder: str | os.PathLike[str], wait: bool = True) -> Iterator[None]:
    """Lock a folder for this process; the system ends the lock with the process.

    Args:
        folder: the folder, which exists.
        wait: whether to wait for another process that holds the lock.

    Raises:
        InputError: another process holds the lock, and `wait` is False.
    """
    import fcntl  # of Unix alone, and the runtime, which does without, also imports this module

    descriptor = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise InputError(f"another process is at work in {folder}") from error
        yield
    finally:
        os.close(descriptor)


def write_atomically(path: str | os.PathLike[str], write: Callable[[Path], object]) -> None:
    """Call `write` with a temporary path in the same folder and rename the result to `path`.

    Args:
        path: the file to write or replace.
        write: called with the temporary path.

    Raises:
        InputError: the folder does not exist or cannot be written, or the disk is full.
    """
    path = Path(path)
    part = path.with_name(f".{secrets.token_hex(4)}{''.join(path.suffixes[-2:])}")
    try:
        write(part)
        with contextlib.suppress(OSError):
            os.chmod(part, stat.S_IMODE(path.stat().st_mode))  # who may read what is replaced
        os.replace(part, path)
    except ShiftNetError:
        raise
    except (OSError, ValueError) as error:
        raise InputError(f"cannot write {path}: {getattr(error, 'strerror', None) or first_line(error)}") from error
    finally:
        with contextlib.suppress(OSError):  # of a read-only file system, on which there is no part either
            part.unlink(missing_ok=True)


def existing_parent(path: str | os.PathLike[str]) -> Path:
    """Return the path, made absolute, or the nearest folder above it that exists."""
    path = Path(path).absolute()
    return next(folder for folder in (path, *path.parents) if folder.exists())


def is_leftover(path: Path) -> bool:
    """Tell whether a file is a temporary one that `write_atomically` or `check_room` left when it was killed."""
    return bool(re.fullmatch(r"\.(room|[0-9a-f]{8}(\..*)?)", path.name)) and path.is_file()


def check_room(folder: Path, size: int, what: str) -> None:
    """Check that a disk has room by allocating and releasing it: on a full disk h5py crashes the process.

    Args:
        folder: a folder on the disk.
        size: bytes.
        what: what needs the room, for the message, such as `"a checkpoint"`.

    Raises:
        ShiftNetError: the disk or the quota is full.
    """
    path = folder / ".room"
    try:
        with open(path, "wb") as file:
            os.posix_fallocate(file.fileno(), 0, size)
    except OSError as error:
        raise ShiftNetError(
            f"{folder} has no room for {what} of up to {size / 1e6:.0f} MB ({error.strerror})"
        ) from error
    finally:
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)
