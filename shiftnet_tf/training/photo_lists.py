"""Text files that list photos: one name per line, relative to the folder of photos; `#` starts a comment.

A heading in square brackets starts a new set:

    [val-more]
    castle.jpg
    lakes/baikal.jpg

Light: without TensorFlow.
"""

import os
import re
from pathlib import Path

from shiftnet_tf.errors import InputError


def read_photo_list(path: str | os.PathLike[str]) -> dict[str, list[str]]:
    """Read a list of photos.

    Returns:
        The names by set; names before the first heading are in the set "".

    Raises:
        InputError: the file cannot be read, lists nothing, or lists a photo twice.
    """
    try:
        lines = Path(path).read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read the photo list {path}: {getattr(error, 'strerror', error)}") from error
    sets: dict[str, list[str]] = {}
    name = ""
    for line in lines:
        entry = re.sub(r"(^|\s)#.*", "", line).strip()
        if heading := re.fullmatch(r"\[(.+)\]", entry):
            name = heading[1].strip()
        elif entry:
            sets.setdefault(name, []).append(entry)
    entries = [entry for members in sets.values() for entry in members]
    if not entries:
        raise InputError(f"the photo list is empty: {path}")
    twice = {entry for entry in entries if entries.count(entry) > 1}
    if twice:
        raise InputError(f"the photo list {path} names {min(twice)} twice")
    return sets
