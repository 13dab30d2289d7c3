"""Find the photos in a folder."""

import contextlib
import heapq
import logging
import os
from collections.abc import Iterator
from pathlib import Path

PHOTO_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")
logger = logging.getLogger(__name__)


def find_photos(folder: str | os.PathLike[str], suffixes: tuple[str, ...] = PHOTO_SUFFIXES) -> list[Path]:
    """Return the files of `find_files` that have one of the suffixes (lower case), sorted by path."""
    folder = Path(folder)
    found = (path for path in find_files(folder) if path.suffix.lower() in suffixes)
    return sorted(found, key=lambda path: path.relative_to(folder).as_posix())


def find_files(folder: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield all files in a folder and its subfolders, in no particular order.

    Files and folders whose names begin with a dot are skipped: macOS keeps an attribute file `._photo.jpg` next to each
    photo, and unfinished files have such names. Symbolic links to folders are followed, and each folder is entered
    once, by its own name rather than a link's, so that links can neither loop nor list a photo twice.
    """
    folders, links, seen = [str(folder)], list[str](), set[tuple[int, int]]()
    while folders or links:
        place = folders.pop() if folders else heapq.heappop(links)  # the same link first on every machine
        try:
            status = os.stat(place)
            entries = [] if (status.st_dev, status.st_ino) in seen else list(os.scandir(place))
        except OSError as error:
            if not isinstance(error, FileNotFoundError):
                logger.warning("%s: skipped: %s", place, error.strerror)
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
