"""From a folder of photos to a folder of filled ones."""

import json
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

from shiftnet_tf.errors import InputError, ShiftNetError, check, first_line
from shiftnet_tf.photos import image_files
from shiftnet_tf.runtime.files import DEFAULTS, inpaint_file
from shiftnet_tf.runtime.inpainter import Inpainter
from shiftnet_tf.runtime.options import FillOptions


@dataclass(frozen=True)
class Outcome:
    """What became of one photo of a folder.

    Attributes:
        photo, out: Path.
        status: str, `"filled"`, `"no hole"` (the photo is given back unchanged), `"skipped"` (it was there already) or
            `"failed"`.
        plan: str, what the model looked at; empty where it was not run.
        error: str, what is wrong; empty where nothing is.
        seconds: float.
    """

    photo: Path
    out: Path
    status: str
    plan: str = ""
    error: str = ""
    seconds: float = 0.0

    def as_json(self) -> str:
        """One line of JSON."""
        values = {"photo": str(self.photo), "out": str(self.out), "status": self.status}
        values |= {name: value for name, value in (("plan", self.plan), ("error", self.error)) if value}
        return json.dumps(values | {"seconds": round(self.seconds, 3)})


def pair(photos: str | Path, masks: str | Path, out: Path | None = None) -> list:
    """The photos of a folder, each with its mask.

    Args:
        photos: str or Path of a folder; folders in it are looked through too.
        masks: str or Path of one mask file for all photos, or of a folder, in which the mask has the photo's path but
            for its suffix.
        out: Path of the folder of the results, or None; what lies in it or in `masks` is no photo.

    Returns:
        list of (Path of the photo relative to `photos`, Path of its mask, or None where there is none), sorted.

    Raises:
        InputError: no such folder or file, or no photo in it.
    """
    photos, masks = Path(photos), Path(masks)
    if not photos.is_dir():
        raise InputError(f"the folder of photos does not exist: {photos}")
    if not masks.exists():
        raise InputError(f"the mask does not exist: {masks}")
    found = image_files.find_photos(photos, image_files.readable_suffixes())
    others = [folder.resolve() for folder in (masks, out) if folder is not None]
    found = [path for path in found if not any(path.resolve().is_relative_to(other) for other in others)]
    if not found:
        raise InputError(f"no photo below the folder {photos}")
    relative = [path.relative_to(photos) for path in found]
    if masks.is_file():
        return [(path, masks) for path in relative]
    by_name = {}
    for path in image_files.find_photos(masks, (*image_files.readable_suffixes(), ".json")):
        by_name.setdefault(path.relative_to(masks).with_suffix(""), path)
    return [(path, by_name.get(path.with_suffix(""))) for path in relative]


def inpaint_folder(
    inpainter: Inpainter,
    photos: str | Path,
    masks: str | Path,
    out: str | Path,
    *,
    options: FillOptions = DEFAULTS,
    suffix: str | None = None,
    workers: int = 2,
    skip_existing: bool = False,
    max_pixels: int | None = None,
) -> tuple[int, Iterator[Outcome]]:
    """Fills all photos of a folder; a bad one does not stop the others.

    Args:
        inpainter: Inpainter, which all workers share.
        photos, masks: see `pair`.
        out: str or Path of the folder to write to; it and those in it are made. A result has its photo's path.
        options, max_pixels: see `files.inpaint_file`.
        suffix: str, such as `".png"`, of the results; None keeps each photo's own.
        workers: int, photos at a time: while one is computed, others are read and written.
        skip_existing: bool, whether to leave alone what is there already.

    Returns:
        (int, the number of photos, and a generator of Outcome, in the order in which they are done).

    Raises:
        InputError: see `pair`; or `out` cannot be written to.
    """
    check("workers", workers, type(workers) is int and 1 <= workers <= 64, "a whole number from 1 to 64")
    photos, out = Path(photos), Path(out)
    if out.resolve() in (photos.resolve(), Path(masks).resolve()):
        raise InputError(f"the results must go to a folder of their own. Received: {out}")
    pairs = pair(photos, masks, out)
    if out.exists() and not out.is_dir():
        raise InputError(f"the results of a folder must go to a folder. Received: {out}")
    targets = [out / (path.with_suffix(suffix) if suffix else path) for path, _ in pairs]
    if suffix:
        image_files.check_output(Path(f"photo{suffix}"))
    doubled = [target for target, count in Counter(targets).items() if count > 1]
    if doubled:
        raise InputError(f"two photos would be written to {min(doubled)}: leave the suffix as it is")

    def fill(item):
        (path, mask), target = item
        started = time.perf_counter()

        def outcome(status, plan="", error=""):
            return Outcome(photos / path, target, status, plan, error, time.perf_counter() - started)

        if skip_existing and target.exists():
            return outcome("skipped")
        try:
            if mask is None:
                raise InputError(f"there is no mask {path.with_suffix('')}.* in {masks}")
            target.parent.mkdir(parents=True, exist_ok=True)
            filled = inpaint_file(inpainter, photos / path, mask, target, options=options, max_pixels=max_pixels)
        except (ShiftNetError, OSError) as error:
            return outcome("failed", error=str(error))
        except Exception as error:  # of one photo among many: it is told, and the others go on
            return outcome("failed", error=f"{type(error).__name__}: {first_line(error)}")
        return outcome("filled" if filled.has_hole else "no hole", str(filled.plan) if filled.has_hole else "")

    return len(pairs), _in_parallel(fill, list(zip(pairs, targets)), workers)


def _in_parallel(function, items, workers):
    """Results as they come; whoever stops listening (Ctrl-C) also stops what has not begun."""
    pool = ThreadPoolExecutor(workers)
    try:
        for future in as_completed([pool.submit(function, item) for item in items]):
            yield future.result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
