"""Counts and digests of the files that a run trains on, and its seed: `inputs.json` in the run folder.

A resumed run equals an uninterrupted one only if it reads the same files with the same seed. `changes` lists the
differences. Two files count as equal if name and size agree, because reading the contents of a large folder takes too
long.

Light: only the standard library.
"""

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from shiftnet_tf.errors import InputError, first_line
from shiftnet_tf.system.atomic import write_atomically

NAME = "inputs.json"
_CONSEQUENCE = "the resumed run differs from an undisturbed one"


def summarize(seed: int, files: Mapping[str, Iterable[str | os.PathLike[str]]]) -> dict[str, Any]:
    """Summarize what a run trains on.

    Args:
        seed: the config's seed.
        files: paths by kind, in the plural as in the sentences of `changes`, such as `{"photos": [...], "masks": []}`.
            Pass an empty list if a run has none of a kind; missing kinds are not compared.

    Returns:
        The content of `inputs.json`: `{"seed": 0, "files": {"photos": {"count": 28, "sha256": "..."}, ...}}`. A digest
        is that of the sorted pairs of name and size in bytes. Names are relative to the folder that contains all files
        of a kind, so that the digest does not change if this folder is moved.

    Raises:
        InputError: a file does not exist, or its size cannot be read.
    """
    return {"seed": seed, "files": {kind: _summarize_files(paths) for kind, paths in files.items()}}


def write(folder: str | os.PathLike[str], inputs: Mapping[str, Any]) -> None:
    """Write the summary into a new run folder.

    Args:
        folder: the run folder, which exists.
        inputs: from `summarize`.

    Raises:
        InputError: the file cannot be written.
    """
    text = json.dumps(inputs, indent=2) + "\n"
    write_atomically(Path(folder) / NAME, lambda part: part.write_text(text, encoding="utf-8"))


def changes(folder: str | os.PathLike[str], inputs: Mapping[str, Any]) -> list[str]:
    """Compare the inputs of a resumed run with those that it started with.

    Args:
        folder: the run folder.
        inputs: the present ones, from `summarize`.

    Returns:
        One sentence for each change; none for a run folder without `inputs.json`, which an earlier version made.
        If the file cannot be read, the one sentence says so.
    """
    path = Path(folder) / NAME
    try:
        before = json.loads(path.read_text(encoding="utf-8"))
        seed = before["seed"]
        counts = {kind: (entry["count"], entry["sha256"]) for kind, entry in before["files"].items()}
    except FileNotFoundError:
        return []
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        what = getattr(error, "strerror", None) or first_line(error)
        return [f"cannot read {path} ({what}): changes of photos, masks or seed since the run began are not detected"]
    sentences = []
    for kind, now in inputs["files"].items():
        count, digest = counts.get(kind, (now["count"], now["sha256"]))
        if count != now["count"]:
            sentences.append(f"{kind} changed since the run began: {count} then, {now['count']} now; {_CONSEQUENCE}")
        elif digest != now["sha256"]:
            difference = f"{count} then and now, but with other names or sizes"
            sentences.append(f"{kind} changed since the run began: {difference}; {_CONSEQUENCE}")
    if seed != inputs["seed"]:
        sentences.append(f"seed changed since the run began: {seed} then, {inputs['seed']} now; {_CONSEQUENCE}")
    return sentences


def _summarize_files(paths: Iterable[str | os.PathLike[str]]) -> dict[str, Any]:
    full = [os.path.abspath(path) for path in paths]
    base = os.path.commonpath([os.path.dirname(path) for path in full]) if full else ""
    pairs = sorted((Path(path).relative_to(base).as_posix(), _size(path)) for path in full)
    digest = hashlib.sha256()
    for name, size in pairs:
        digest.update(f"{name}\0{size}\0".encode("utf-8", "surrogateescape"))  # no file name contains a zero byte
    return {"count": len(pairs), "sha256": digest.hexdigest()}


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size
    except OSError as error:
        raise InputError(f"cannot read the size of {path}: {error.strerror}") from error
