"""Files that are written completely or not at all, and folders that one process uses at a time.

Unfinished files are named `.shiftnet-<process table>-<process id>-<random>.<suffix>`, so that a later process can tell
whether their writer still runs.
"""

import contextlib
import functools
import hashlib
import os
import re
import secrets
import shutil
import stat
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from shiftnet_tf.errors import InputError, ShiftNetError, first_line
from shiftnet_tf.system.storage import Place, Url

_TEMPORARY = re.compile(r"\.shiftnet-(?P<table>[0-9a-f]{8})-(?P<process>[0-9]+)-[0-9a-f]{8}(\..*)?")
_UNKNOWN = 8 * "0"
_DAY = 86_400  # seconds
_tidied: set[str] = set()  # folders where this process has removed leftovers, once each: a folder may be large


@contextlib.contextmanager
def locked(folder: str | os.PathLike[str], wait: bool = True) -> Iterator[None]:
    """Lock a folder for this process; the system releases the lock when the process ends.

    Args:
        folder: the folder, which must exist.
        wait: whether to wait for another process that holds the lock.

    Raises:
        InputError: another process holds the lock, and `wait` is False.
    """
    import fcntl  # Unix only; imported here because the runtime, which does without, imports this module too

    descriptor = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise InputError(f"{folder} is in use by another process") from error
        yield
    finally:
        os.close(descriptor)


def real(path: str | os.PathLike[str]) -> Place:
    """Return the absolute path without symbolic links; a looping link or a URL is returned as it is."""
    return path if isinstance(path, Url) else Path(os.path.realpath(path))


def link_target(path: str | os.PathLike[str]) -> Path:
    """Return the file that writing to a path replaces: the target of a symbolic link, as with `cp`.

    Raises:
        InputError: the link dangles (`cp` refuses that too) or loops.
    """
    path = Path(path)
    if not path.is_symlink():
        return path
    try:
        path.stat()
    except FileNotFoundError as error:
        raise InputError(
            f"cannot write {path}: it is a symbolic link to {os.readlink(path)}, which does not exist; remove the link "
            "or choose another file"
        ) from error
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror}") from error
    return Path(os.path.realpath(path))


def file_id(path: str | os.PathLike[str]) -> object:
    """Return an id that is equal for all paths to one file, through links or on file systems that ignore case."""
    if isinstance(path, Url):
        return path
    try:
        found = os.stat(path)
    except OSError:
        return real(path)
    return found.st_dev, found.st_ino


def make_folder(folder: str | os.PathLike[str]) -> None:
    """Create a folder and its parents, unless they exist.

    Raises:
        InputError: it cannot be created.
    """
    try:
        os.makedirs(folder, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot create the folder {folder}: {error.strerror}") from error


def write_atomically(path: str | os.PathLike[str], write: Callable[[Path], object]) -> None:
    """Call `write` with a temporary path in the same folder and rename the result to `path`.

    The new file gets the mode of the file that it replaces; a symbolic link stays, and its target is replaced. The
    first write to a folder also removes what killed processes left there.

    Args:
        path: the file to write or replace.
        write: called with the temporary path.

    Raises:
        InputError: the folder does not exist or cannot be written, the disk is full, or see `link_target`.
    """
    path = Path(path)
    target = link_target(path)
    if (folder := os.path.abspath(target.parent)) not in _tidied:
        _tidied.add(folder)
        remove_leftovers(target.parent)
    part = temporary_path(target.parent, "".join(path.suffixes[-2:]))
    try:
        write(part)
        with contextlib.suppress(OSError):
            os.chmod(part, stat.S_IMODE(target.stat().st_mode))  # keeps the permissions of the replaced file
        os.replace(part, target)
    except ShiftNetError:
        raise
    except (OSError, ValueError) as error:
        raise InputError(f"cannot write {path}: {getattr(error, 'strerror', None) or first_line(error)}") from error
    finally:
        with contextlib.suppress(OSError):  # a read-only file system, on which there is no part either
            part.unlink(missing_ok=True)


def existing_parent(path: str | os.PathLike[str]) -> Path:
    """Return the absolute path, or its nearest existing parent."""
    path = Path(path).absolute()
    return next(folder for folder in (path, *path.parents) if folder.exists())


def temporary_path(folder: Path, suffix: str = "") -> Path:
    """Return an unused path for an unfinished file or folder.

    Args:
        folder: the folder of the finished file, so that it can be renamed.
        suffix: suffix of the finished file, from which some libraries choose the format.
    """
    return folder / f".shiftnet-{_process_table()}-{os.getpid()}-{secrets.token_hex(4)}{suffix}"


def is_leftover(path: Path) -> bool:
    """Tell whether a file has the name of an unfinished file.

    Its process may still be writing it: only the holder of the folder's lock knows that none is.
    """
    return bool(_TEMPORARY.fullmatch(path.name)) and path.is_file()


def remove_leftovers(folder: Path) -> None:
    """Remove the unfinished files that processes left in a folder when they were killed.

    These are files of ended processes of this machine (and container), and files older than a day.
    """
    try:
        found = [path for path in folder.iterdir() if path.name.startswith(".shiftnet-")]
    except OSError:
        return
    for path in found:
        with contextlib.suppress(OSError):  # another process removes it too, or another user owns it
            name = _TEMPORARY.fullmatch(path.name)
            old = time.time() - path.lstat().st_mtime > _DAY
            if name and (old or (name["table"] == _process_table() != _UNKNOWN and not _runs(int(name["process"])))):
                if path.is_dir() and not path.is_symlink():
                    shutil.rmtree(path)
                else:
                    path.unlink()


@functools.cache
def _process_table() -> str:
    """Return a name for the table of process ids: that of one machine or container since its start.

    Several machines or containers may write to one folder, and the id of a running process in one of them may be unused
    in another. Returns _UNKNOWN if the system does not tell.
    """
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="utf-8")
        table = f"{boot} {os.readlink('/proc/self/ns/pid')} {os.uname().nodename}"
        return hashlib.sha256(table.encode()).hexdigest()[: len(_UNKNOWN)]
    except OSError:
        return _UNKNOWN


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)  # sends nothing
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True
    return True


def check_room(folder: Path, size: int, what: str) -> None:
    """Check that a disk has enough space by allocating and releasing it: on a full disk, h5py crashes the process.

    Args:
        folder: a folder on the disk.
        size: bytes.
        what: what needs the space, for the message, such as `"a checkpoint"`.

    Raises:
        ShiftNetError: the disk or the quota is full.
    """
    path = temporary_path(folder, ".room")
    try:
        with open(path, "wb") as file:
            os.posix_fallocate(file.fileno(), 0, size)
    except OSError as error:
        raise ShiftNetError(
            f"not enough space in {folder} for {what} of up to {size / 1e6:.0f} MB ({error.strerror})"
        ) from error
    finally:
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)
