"""Fill many photos; one that fails does not stop the others."""

import functools
import io
import json
import time
import traceback
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path

from shiftnet_tf.errors import InputError, ShiftNetError, check, first_line
from shiftnet_tf.photos import file_formats
from shiftnet_tf.photos.photo import QUALITY_FORMATS, check_quality
from shiftnet_tf.photos.sources import Content, FileSource
from shiftnet_tf.runtime.files import Filled, inpaint_file
from shiftnet_tf.runtime.inpainter import Inpainter
from shiftnet_tf.runtime.jobs import Job, Paths, listed, plan_jobs
from shiftnet_tf.runtime.options import DEFAULTS, FillOptions
from shiftnet_tf.system.atomic import make_folder
from shiftnet_tf.system.storage import Place, Url, place


@dataclass(frozen=True)
class Outcome:
    """The outcome of one photo.

    Attributes:
        photo, out: the photo and the file that was written.
        status: `"filled"`, `"no hole"` (the photo is returned unchanged), `"skipped"` (the output already exists) or
            `"failed"`.
        plan: the windows that the model saw; empty if it did not run.
        seconds: from the start of the photo to its end.
        share: share of the photo's pixels that were filled, 0 to 1.
        error: the error in one sentence; empty if there is none.
        bug: the traceback of an error that is a bug in shiftnet_tf; empty if there is none.
        failure: the exception; None if there was none, or it was raised in another process.
    """

    photo: Place
    out: Place
    status: str
    plan: str = ""
    seconds: float = 0.0
    share: float = 0.0
    error: str = ""
    bug: str = ""
    failure: Exception | None = field(default=None, compare=False, repr=False)

    def as_json(self) -> str:
        """Return one line of JSON."""
        values: dict[str, str | float] = {"photo": str(self.photo), "out": str(self.out), "status": self.status}
        if self.status == "filled":
            values["share"] = round(self.share, 6)
        values |= {name: value for name, value in (("plan", self.plan), ("error", self.error)) if value}
        return json.dumps(values | {"seconds": round(self.seconds, 3)})


def attempt(photo: Place, out: Place, fill: Callable[[], Filled | None]) -> Outcome:
    """Fill a photo and return its outcome, whatever is raised.

    Args:
        photo, out: see `Outcome`.
        fill: does the work; returns None if it skips the photo.
    """
    started = time.perf_counter()
    try:
        filled = fill()
    except Exception as error:  # one photo among many: report it, and continue with the others
        seconds = time.perf_counter() - started
        return Outcome(photo, out, "failed", seconds=seconds, error=_said(error), bug=_bug(error), failure=error)
    seconds = time.perf_counter() - started
    if filled is None:
        return Outcome(photo, out, "skipped", seconds=seconds)
    if not filled.has_hole:
        return Outcome(photo, out, "no hole", seconds=seconds)
    return Outcome(photo, out, "filled", str(filled.plan), seconds=seconds, share=filled.share)


def _said(error: Exception) -> str:
    if isinstance(error, ShiftNetError | OSError):
        return str(error)
    return f"{type(error).__name__}: {first_line(error)}"


def _bug(error: Exception) -> str:
    if isinstance(error, ShiftNetError | OSError | MemoryError):
        return ""
    return "".join(traceback.format_exception(error))


@dataclass(frozen=True, kw_only=True)
class FolderTask:
    """How to fill each photo of a folder; it can be pickled, and does not depend on its caller.

    Attributes:
        masks, out: the folder of masks (or one mask), and the output folder.
        options, overwrite, max_pixels, quality: see `files.inpaint_file`; the quality applies to lossy results only.
        skip_existing: whether to skip photos whose output exists.
    """

    masks: Place
    out: Place
    options: FillOptions = DEFAULTS
    overwrite: bool = False
    max_pixels: int | None = None
    quality: int | None = None
    skip_existing: bool = False

    def __call__(self, inpainter: Inpainter, job: Job) -> Outcome:
        """Fill a photo and return its outcome, whatever is raised."""
        return attempt(job.photo, job.out, functools.partial(self._fill, inpainter, job))

    def _fill(self, inpainter: Inpainter, job: Job) -> Filled | None:
        if self.skip_existing and job.out.exists():
            return None
        if not job.masks:
            raise InputError(f"no mask named {job.out.relative_to(self.out).with_suffix('')}.* in {self.masks}")
        file_format = file_formats.check_suffix(job.out.name) if isinstance(job.out, Url) else None
        content = io.BytesIO()
        filled = inpaint_file(
            inpainter,
            _fetched(job.photo),
            [_fetched(mask) for mask in job.masks],
            content if isinstance(job.out, Url) else job.out,
            options=self.options,
            file_format=file_format,
            quality=self.quality if is_lossy(job) else None,
            overwrite=self.overwrite,
            max_pixels=self.max_pixels,
        )
        if isinstance(job.out, Url):
            job.out.write_bytes(content.getvalue())
        return filled


def _fetched(source: Place) -> FileSource:
    return Content(source.read_bytes(), str(source)) if isinstance(source, Url) else source


def is_lossy(job: Job) -> bool:
    """Tell whether the format of a result has a quality."""
    return file_formats.format_of(job.out.suffix) in QUALITY_FORMATS


def plan_folder(
    photos: Paths,
    masks: Paths,
    out: str | Path,
    *,
    options: FillOptions = DEFAULTS,
    suffix: str | None = None,
    skip_existing: bool = False,
    quality: int | None = None,
    overwrite: bool = False,
    max_pixels: int | None = None,
) -> tuple[list[Job], FolderTask]:
    """List the photos of a folder, check what can be checked before the first is filled, and create the output folder.

    Arguments and errors are those of `inpaint_folder`.
    """
    target = place(out)
    jobs = plan_jobs(photos, masks, target, suffix, overwrite)
    if quality is not None:
        check_quality(quality, "JPEG" if any(map(is_lossy, jobs)) else file_formats.check_suffix(jobs[0].out.name))
    if isinstance(target, Path):
        make_folder(target)
    return jobs, FolderTask(
        masks=listed(masks)[0],
        out=target,
        options=options,
        overwrite=overwrite,
        max_pixels=max_pixels,
        quality=quality,
        skip_existing=skip_existing,
    )


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
) -> tuple[int, Generator[Outcome]]:
    """Fill all photos of a folder, or a list of photos, into a folder; one that fails does not stop the others.

    Args:
        inpainter: the model, which all workers share.
        photos, masks, suffix: see `jobs.plan_jobs`; each may be a URL, such as `"s3://bucket/photos"`.
        out: the output folder, which is created with its subfolders. A result has its photo's name, or its path
            relative to the folder of photos; a GIF becomes a PNG, an MPO a JPEG.
        options, max_pixels: see `files.inpaint_file`.
        workers: photos at a time; while one is computed, others are read and written.
        skip_existing: whether to skip photos whose output exists.
        quality: of the results in lossy formats, see `files.inpaint_file`.
        overwrite: whether results may replace their photos.

    Returns:
        The number of photos, and a generator of their outcomes, in the order in which they finish.

    Raises:
        InputError: see `jobs.plan_jobs`; or there is a quality and no lossy result, or `out` cannot be created.
    """
    check("workers", workers, type(workers) is int and 1 <= workers <= 64, "a whole number from 1 to 64")
    jobs, task = plan_folder(
        photos,
        masks,
        out,
        options=options,
        suffix=suffix,
        skip_existing=skip_existing,
        quality=quality,
        overwrite=overwrite,
        max_pixels=max_pixels,
    )
    return len(jobs), _in_parallel(functools.partial(task, inpainter), jobs, workers)


def _in_parallel(function: Callable[[Job], Outcome], items: Sequence[Job], workers: int) -> Generator[Outcome]:
    """Yield results as they finish; closing the generator (Ctrl-C) also cancels what has not begun."""
    pool = ThreadPoolExecutor(workers)
    try:
        for future in as_completed([pool.submit(function, item) for item in items]):
            yield future.result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
