"""Many photos: a bad one does not stop the others."""

import json
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

from shiftnet_tf.errors import InputError, ShiftNetError, check, first_line
from shiftnet_tf.photos import image_files
from shiftnet_tf.photos.photo import QUALITY_FORMATS, check_quality
from shiftnet_tf.runtime.files import Filled, inpaint_file
from shiftnet_tf.runtime.inpainter import Inpainter
from shiftnet_tf.runtime.jobs import Job, Paths, listed, plan_jobs
from shiftnet_tf.runtime.options import DEFAULTS, FillOptions
from shiftnet_tf.system.atomic import make_folder


@dataclass(frozen=True)
class Outcome:
    """What became of one photo.

    Attributes:
        photo, out: the photo and the file that was written.
        status: `"filled"`, `"no hole"` (the photo is given back unchanged), `"skipped"` (it was there already) or
            `"failed"`.
        plan: what the model looked at; empty where it was not run.
        failure: what was raised; None where nothing was.
        seconds: from the start of the photo to its end.
        share: of the photo's pixels that were filled, 0 to 1.
    """

    photo: Path
    out: Path
    status: str
    plan: str = ""
    failure: Exception | None = None
    seconds: float = 0.0
    share: float = 0.0

    @property
    def error(self) -> str:
        """What is wrong, in one sentence; empty where nothing is."""
        if self.failure is None:
            return ""
        if isinstance(self.failure, ShiftNetError | OSError):
            return str(self.failure)
        return f"{type(self.failure).__name__}: {first_line(self.failure)}"

    @property
    def bug(self) -> str:
        """The traceback of an error that is a bug in shiftnet_tf; empty where there is none."""
        if self.failure is None or isinstance(self.failure, ShiftNetError | OSError | MemoryError):
            return ""
        return "".join(traceback.format_exception(self.failure))

    def as_json(self) -> str:
        """Return one line of JSON."""
        values: dict[str, str | float] = {"photo": str(self.photo), "out": str(self.out), "status": self.status}
        if self.status == "filled":
            values["share"] = round(self.share, 6)
        values |= {name: value for name, value in (("plan", self.plan), ("error", self.error)) if value}
        return json.dumps(values | {"seconds": round(self.seconds, 3)})


def attempt(photo: Path, out: Path, fill: Callable[[], Filled | None]) -> Outcome:
    """Fill a photo, and return what became of it, whatever is raised.

    Args:
        photo, out: see `Outcome`.
        fill: does the work; returns None where it skips the photo.
    """
    started = time.perf_counter()
    try:
        filled = fill()
    except Exception as error:  # of one photo among many: it is told, and the others go on
        return Outcome(photo, out, "failed", failure=error, seconds=time.perf_counter() - started)
    seconds = time.perf_counter() - started
    if filled is None:
        return Outcome(photo, out, "skipped", seconds=seconds)
    if not filled.has_hole:
        return Outcome(photo, out, "no hole", seconds=seconds)
    return Outcome(photo, out, "filled", str(filled.plan), seconds=seconds, share=filled.share)


def inpaint_folder(
    inpainter: Inpainter,
    photos: Paths,
    masks: Paths,
    out: str | Path,
    *,
    options: FillOptions = DEFAULTS,
    suffix: str | None = None,
    workers: int = 2,
    skip_existing: bool = False,
    quality: int | None = None,
    overwrite: bool = False,
    max_pixels: int | None = None,
) -> tuple[int, Iterator[Outcome]]:
    """Fill all photos of a folder, or a list of photos, into a folder; a bad one does not stop the others.

    Args:
        inpainter: what fills them; all workers share it.
        photos, masks, suffix: see `jobs.plan_jobs`.
        out: the folder to write to; it and those in it are made. A result has its photo's name, below a folder of
            photos its path; that of a GIF is a PNG, that of an MPO a JPEG.
        options, max_pixels: see `files.inpaint_file`.
        workers: photos at a time: while one is computed, others are read and written.
        skip_existing: whether to leave alone what is there already.
        quality: of the results in lossy formats, see `files.inpaint_file`.
        overwrite: whether results may replace their photos.

    Returns:
        The number of photos, and a generator of what became of each, in the order in which they are done.

    Raises:
        InputError: see `jobs.plan_jobs`; or no result has a quality, or `out` cannot be made.
    """
    check("workers", workers, type(workers) is int and 1 <= workers <= 64, "a whole number from 1 to 64")
    out = Path(out)
    jobs = plan_jobs(photos, masks, out, suffix, overwrite)
    lossy = {job.out: image_files.format_of(job.out.suffix) in QUALITY_FORMATS for job in jobs}
    if quality is not None:
        check_quality(quality, "JPEG" if any(lossy.values()) else image_files.check_suffix(jobs[0].out.name))
    make_folder(out)
    (mask_folder, *_) = listed(masks)

    def fill(job: Job) -> Outcome:
        def work() -> Filled | None:
            if skip_existing and job.out.exists():
                return None
            if not job.masks:
                raise InputError(f"there is no mask {job.out.relative_to(out).with_suffix('')}.* in {mask_folder}")
            return inpaint_file(
                inpainter,
                job.photo,
                job.masks,
                job.out,
                options=options,
                quality=quality if lossy[job.out] else None,
                overwrite=overwrite,
                max_pixels=max_pixels,
            )

        return attempt(job.photo, job.out, work)

    return len(jobs), _in_parallel(fill, jobs, workers)


def _in_parallel(function: Callable[[Job], Outcome], items: Sequence[Job], workers: int) -> Iterator[Outcome]:
    """Yield results as they come; whoever stops listening (Ctrl-C) also stops what has not begun."""
    pool = ThreadPoolExecutor(workers)
    try:
        for future in as_completed([pool.submit(function, item) for item in items]):
            yield future.result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
