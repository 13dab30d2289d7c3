"""Files that are whole or not there at all, and folders in which one process works at a time."""

import contextlib
import os
import re
import secrets
import stat
from pathlib import Path

from shiftnet_tf.errors import InputError, ShiftNetError, first_line


@contextlib.contextmanager
def locked(folder, wait=True):
    """The only process in a folder, of those that ask; the system ends the lock with the process.

    Args:
        folder: str or Path.
        wait: bool, whether to wait for another one. Defaults to True.

    Raises:
        InputError: another process is at work there, and `wait` is False.
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


def existing_parent(path):
    """The folder itself, or the nearest one above it that is there.

    Args:
        path: str or Path.

    Returns:
        Path.
    """
    path = Path(path).absolute()
    return next(folder for folder in (path, *path.parents) if folder.exists())


def is_leftover(path):
    """Whether a file is what `write_atomically` or `check_room` leaves in a process that is killed.

    Args:
        path: Path.

    Returns:
        bool.
    """
    return bool(re.fullmatch(r"\.(room|[0-9a-f]{8}(\..*)?)", path.name)) and path.is_file()


def check_room(folder, size, what):
    """Takes room on a disk and gives it back: h5py, which writes weights, brings a process down where there is none.

    Args:
        folder: Path.
        size: int, bytes.
        what: str, for the message, such as `"a checkpoint"`.

    Raises:
        ShiftNetError: a full disk, or the end of a quota.
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
