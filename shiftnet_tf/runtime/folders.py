"""From a folder of photos to a folder of filled ones."""

import json
import time
import traceback
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shiftnet_tf.errors import InputError, ShiftNetError, check, first_line
from shiftnet_tf.photos import finding, image_files
from shiftnet_tf.runtime.files import inpaint_file
from shiftnet_tf.runtime.inpainter import Inpainter
from shiftnet_tf.runtime.options import DEFAULTS, FillOptions
from shiftnet_tf.system.atomic import link_target, real

Item = tuple[tuple[Path, Path | None], Path]  # a photo of `pair` and its mask, and the file to write


@dataclass(frozen=True)
class Outcome:
    """What became of one photo of a folder.

    Attributes:
        photo, out: the photo and the file that was written.
        status: `"filled"`, `"no hole"` (the photo is given back unchanged), `"skipped"` (it was there already) or
            `"failed"`.
        plan: what the model looked at; empty where it was not run.
        error: what is wrong; empty where nothing is.
        seconds: from the start of the photo to its end.
        share: of the photo's pixels that were filled, 0 to 1.
        bug: the traceback of an error that is a bug in shiftnet_tf; empty where there is none.
    """

    photo: Path
    out: Path
    status: str
    plan: str = ""
    error: str = ""
    seconds: float = 0.0
    share: float = 0.0
    bug: str = ""

    def as_json(self) -> str:
        """Return one line of JSON."""
        values: dict[str, str | float] = {"photo": str(self.photo), "out": str(self.out), "status": self.status}
        if self.status == "filled":
            values["share"] = round(self.share, 6)
        values |= {name: value for name, value in (("plan", self.plan), ("error", self.error)) if value}
        return json.dumps(values | {"seconds": round(self.seconds, 3)})


def pair(photos: str | Path, masks: str | Path, out: Path | None = None) -> list[tuple[Path, Path | None]]:
    """List the photos of a folder, each with its mask.

    Args:
        photos: the folder; folders in it are looked through too, see `finding.find_files`.
        masks: one mask file for all photos, or a folder, in which the mask has the photo's path but for its suffix.
            Accented letters match whether a name has them composed (as Linux and Windows) or not (as macOS).
        out: the folder of the results, or None; what lies in it or in `masks` is no photo.

    Returns:
        The path of each photo relative to `photos` and that of its mask, None where there is none; sorted.

    Raises:
        InputError: no such folder or file, or no photo in it.
    """
    photos, masks = Path(photos), Path(masks)
    if not photos.is_dir():
        raise InputError(f"the folder of photos does not exist: {photos}")
    if not masks.exists():
        raise InputError(f"the mask does not exist: {masks}")
    found = finding.find_photos(photos, image_files.readable_suffixes())
    others = [real(folder) for folder in (masks, out) if folder is not None]
    found = [path for path in found if not any(real(path).is_relative_to(other) for other in others)]
    if not found:
        raise InputError(f"no photo below the folder {photos}")
    relative = [path.relative_to(photos) for path in found]
    if masks.is_file():
        return [(path, masks) for path in relative]
    by_name: dict[str, Path] = {}
    for path in finding.find_photos(masks, (*image_files.readable_suffixes(), ".json")):
        by_name.setdefault(str(path.relative_to(masks).with_suffix("")), path)
    composed: dict[str, Path] = {}
    for name, path in by_name.items():
        composed.setdefault(unicodedata.normalize("NFC", name), path)
    names = [str(path.with_suffix("")) for path in relative]
    found_masks = [by_name.get(name) or composed.get(unicodedata.normalize("NFC", name)) for name in names]
    return list(zip(relative, found_masks))


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
    """Fill all photos of a folder; a bad one does not stop the others.

    Args:
        inpainter: what fills them; all workers share it.
        photos, masks: see `pair`.
        out: the folder to write to; it and those in it are made. A result has its photo's path; that of a GIF is a
            PNG, that of an MPO a JPEG.
        options, max_pixels: see `files.inpaint_file`.
        suffix: such as `".png"` or `"png"`, of the results; None keeps each photo's own.
        workers: photos at a time: while one is computed, others are read and written.
        skip_existing: whether to leave alone what is there already.

    Returns:
        The number of photos, and a generator of what became of each, in the order in which they are done.

    Raises:
        InputError: see `pair`; or `out` cannot be written to, such as a link to nowhere.
    """
    check("workers", workers, type(workers) is int and 1 <= workers <= 64, "a whole number from 1 to 64")
    photos, out = Path(photos), Path(out)
    if real(out) in (real(photos), real(masks)):
        raise InputError(f"the results must go to a folder of their own. Received: {out}")
    pairs = pair(photos, masks, out)
    if out.exists() and not out.is_dir():
        raise InputError(f"the results of a folder must go to a folder. Received: {out}")
    link_target(out)
    if suffix:
        suffix = "." + suffix.removeprefix(".")
        image_files.check_suffix(f"photo{suffix}")
    targets = [out / (path.with_suffix(suffix) if suffix else image_files.result_name(path)) for path, _ in pairs]
    doubled = [target for target, count in Counter(targets).items() if count > 1]
    if doubled:
        cure = "leave --suffix out" if suffix else "rename one of them"
        raise InputError(f"two photos would be written to {min(doubled)}: {cure}")

    def fill(item: Item) -> Outcome:
        (path, mask), target = item
        started = time.perf_counter()

        def outcome(status: str, **values: Any) -> Outcome:
            return Outcome(photos / path, target, status, seconds=time.perf_counter() - started, **values)

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
            bug = "" if isinstance(error, MemoryError) else traceback.format_exc()
            return outcome("failed", error=f"{type(error).__name__}: {first_line(error)}", bug=bug)
        return outcome("filled", plan=str(filled.plan), share=filled.share) if filled.has_hole else outcome("no hole")

    return len(pairs), _in_parallel(fill, list(zip(pairs, targets)), workers)


def _in_parallel(function: Callable[[Item], Outcome], items: Sequence[Item], workers: int) -> Iterator[Outcome]:
    """Yield results as they come; whoever stops listening (Ctrl-C) also stops what has not begun."""
    pool = ThreadPoolExecutor(workers)
    try:
        for future in as_completed([pool.submit(function, item) for item in items]):
            yield future.result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
