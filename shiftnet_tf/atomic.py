"""Files that are whole or not there at all."""

import os
import secrets
from pathlib import Path

from shiftnet_tf.errors import InputError, first_line


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
        os.replace(part, path)
    except (OSError, ValueError) as error:
        raise InputError(f"cannot write {path}: {getattr(error, 'strerror', None) or first_line(error)}") from error
    finally:
        part.unlink(missing_ok=True)
