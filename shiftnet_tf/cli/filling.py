"""Run `shiftnet inpaint`: read the inputs, fill them, write the results and report the outcome."""

import argparse
import contextlib
import functools
import io
import logging
import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from shiftnet_tf.cli.running import loading, start
from shiftnet_tf.cluster import bulk
from shiftnet_tf.errors import InputError, check
from shiftnet_tf.masks.holes import percent
from shiftnet_tf.photos import file_formats, image_files
from shiftnet_tf.photos.sources import FileSource
from shiftnet_tf.runtime import FillOptions, Inpainter, inpaint_file, inpaint_folder
from shiftnet_tf.runtime.files import Filled
from shiftnet_tf.runtime.folders import Outcome, attempt, plan_folder
from shiftnet_tf.runtime.jobs import match, plan_jobs, result_name
from shiftnet_tf.system.command import BUG, without_notes
from shiftnet_tf.system.progress import Progress
from shiftnet_tf.system.quiet import quiet_start
from shiftnet_tf.system.storage import Place, is_url

logger = logging.getLogger(__name__)
_STREAM = "-"
_MOST_BYTES = 2**31  # of standard input


def fill(options: argparse.Namespace) -> int:
    """Fill the photos that the options name; return the exit code."""
    with without_notes() if options.quiet else contextlib.nullcontext():
        if _are_many(options):
            return _fill_many(options)
        return _fill_one(options)


def _are_many(options: argparse.Namespace) -> bool:
    """Tell whether there are, or may be, several photos: in a folder, at a URL or for a cluster."""
    if len(options.photos) > 1 or options.cluster is not None or Path(options.photos[0]).is_dir():
        return True
    return any(map(is_url, (*options.photos, *options.mask, options.output)))


@dataclass(frozen=True)
class _Task:
    """One photo: its inputs, and the file to write; None for standard output."""

    photo: FileSource
    masks: list[FileSource]
    out: Path | None


def _fill_one(options: argparse.Namespace) -> int:
    task = _read_task(options)
    inpainter = start(options)
    name = Path(_STREAM) if isinstance(task.photo, bytes) else Path(task.photo)
    with _opened_log(options.log) as log:
        outcome = attempt(name, task.out or Path(_STREAM), functools.partial(_fill_task, inpainter, task, options))
        log(outcome)
    if outcome.failure is not None:
        raise outcome.failure
    out = task.out or "standard output"
    if outcome.status == "skipped":
        _say(options, f"{out}: skipped, it already exists")
    elif outcome.status == "no hole":
        logger.warning("the mask has no hole: %s is the unchanged photo", out)
    else:
        share = f"filled {percent(outcome.share)} in {outcome.seconds:.1f} s"
        _say(options, f"{out}: {share} with {inpainter.description}; {outcome.plan}")
        if options.save_shift_map:
            _say(options, f"{options.save_shift_map}: where each part of the hole came from")
    return 0


def _read_task(options: argparse.Namespace) -> _Task:
    """Check inputs and output, and read standard input."""
    (photo,), output = options.photos, options.output
    folder = _is_folder(output)
    if photo == _STREAM and folder:
        raise InputError(f"a photo from standard input has no name: pass -o FILE, not a folder. Received: {output}")
    if options.suffix and not folder and output != _STREAM:
        raise InputError(f"--suffix is for folders and standard output: put it in the file name. Received: {output}")
    if [photo, *options.mask].count(_STREAM) > 1:
        raise InputError("standard input can be read only once: pass `-` as the photo or as one mask")
    if output == _STREAM and sys.stdout.isatty():
        raise InputError("standard output is a terminal: redirect it (`> out.jpg`), or pass -o FILE")
    out = None if output == _STREAM else Path(output)
    masks: Sequence[str | Place] = options.mask
    if _STREAM not in (photo, *masks):
        if folder:
            (job,) = plan_jobs([photo], masks, Path(output), options.suffix, options.overwrite)
            masks, out = job.masks, Path(job.out)
        else:
            ((_, masks),) = match([Path(Path(photo).name)], options.mask)
        if not masks:
            raise InputError(f"no mask named {Path(photo).stem}.* in {options.mask[0]}")
    elif folder and out is not None:
        out /= result_name(Path(Path(photo).name), options.suffix)
    return _Task(_read(photo), [_read(mask) for mask in masks], out)


def _read(source: str | Place) -> FileSource:
    """Return a path, or the content of standard input."""
    if source != _STREAM:
        return source
    if sys.stdin.isatty():
        raise InputError("standard input is a terminal: redirect a file to it (`< photo.jpg`), or pass the file's name")
    content = sys.stdin.buffer.read(_MOST_BYTES + 1)
    if len(content) > _MOST_BYTES:
        raise InputError(f"standard input is larger than {_MOST_BYTES / 1e9:.1f} GB: pass the file's name")
    return content


def _fill_task(inpainter: Inpainter, task: _Task, options: argparse.Namespace) -> Filled | None:
    if options.skip_existing and task.out is not None and task.out.exists():
        return None
    content = io.BytesIO()
    file_format = file_formats.check_suffix(f"out.{options.suffix.removeprefix('.')}") if options.suffix else None
    with _bar(options.quiet) as progress:
        filled = inpaint_file(
            inpainter,
            task.photo,
            task.masks,
            task.out or content,
            options=FillOptions.from_attributes(options),
            shift_map=options.save_shift_map,
            file_format=file_format,
            quality=options.quality,
            overwrite=options.overwrite,
            max_pixels=_pixels(options),
            progress=progress,
        )
    if task.out is None:
        sys.stdout.buffer.write(content.getbuffer())
        sys.stdout.buffer.flush()
    return filled


def _fill_many(options: argparse.Namespace) -> int:
    _check_many(options)
    started = time.perf_counter()
    number, by, outcomes = (_start_many if options.cluster is None else _start_on_cluster)(options)
    counts: Counter[str] = Counter()
    failed: list[Outcome] = []
    with _opened_log(options.log) as log, contextlib.closing(outcomes):
        for outcome in tqdm(outcomes, total=number, unit="photo", disable=options.quiet or None):
            log(outcome)
            counts[outcome.status] += 1
            if outcome.error:
                failed.append(outcome)
    for outcome in sorted(failed, key=lambda outcome: outcome.photo):
        print(f"{outcome.bug}failed: {outcome.photo}: {outcome.error}", file=sys.stderr)
    words = ", ".join(f"{count} {status}" for status, count in sorted(counts.items()))
    seconds = time.perf_counter() - started
    _say(options, f"{options.output}: {words} of {number} photos in {seconds:.1f} s with {by()}")
    if any(outcome.bug for outcome in failed):
        return BUG
    return 1 if failed else 0


_Started = tuple[int, Callable[[], str], Generator[Outcome]]  # number of photos, what runs the model, the outcomes


def _start_many(options: argparse.Namespace) -> _Started:
    inpainter = start(options)
    photos, masks, out, how = _folder_arguments(options)
    number, outcomes = inpaint_folder(inpainter, photos, masks, out, workers=options.workers, **how)
    return number, lambda: inpainter.description, outcomes


def _start_on_cluster(options: argparse.Namespace) -> _Started:
    """Check everything that can be checked here before anything is started."""
    cluster = bulk.Cluster(
        address=options.cluster,
        actors=options.actors,
        gpus_per_actor=options.gpus_per_actor or 0,
        model=loading(options),
    )
    bulk.check_installed()
    photos, masks, out, how = _folder_arguments(options)
    jobs, task = plan_folder(photos, masks, out, **how)
    with quiet_start():
        Inpainter.load(**{**cluster.model, "provider": "cpu", "require_gpu": False}).close()
    by = [""]

    def outcomes() -> Generator[Outcome]:
        for outcome, by[0] in bulk.inpaint_on_cluster(cluster, jobs, task):
            yield outcome

    return len(jobs), lambda: by[0], outcomes()


def _folder_arguments(options: argparse.Namespace) -> tuple[str | list[str], list[str], str, dict[str, Any]]:
    """Return photos, masks, output and options as `inpaint_folder` takes them."""
    (first, *others) = options.photos
    how = {
        "options": FillOptions.from_attributes(options),
        "suffix": options.suffix,
        "skip_existing": options.skip_existing,
        "quality": options.quality,
        "overwrite": options.overwrite,
        "max_pixels": _pixels(options),
    }
    return options.photos if others else first, options.mask, options.output, how


def _check_many(options: argparse.Namespace) -> None:
    one = "a single photo, not for a folder or several photos"
    if _STREAM in (*options.photos, *options.mask, options.output):
        raise InputError(f"`-` is for {one}")
    if options.save_shift_map:
        raise InputError(f"--save-shift-map is for {one}")
    for name in ("actors", "gpus_per_actor"):
        if options.cluster is None and getattr(options, name) is not None:
            raise InputError(f"--{name.replace('_', '-')} needs --cluster")
    if len(options.photos) > 1 and not _is_folder(options.output):
        number = len(options.photos)
        raise InputError(
            f"{number} photos need a folder: pass -o FOLDER, existing or ending in /. Received: {options.output}"
        )


def _is_folder(output: str) -> bool:
    """Tell whether an output names a folder: an existing one, a URL, or a name that ends in a slash."""
    return output.endswith(("/", os.sep)) or is_url(output) or Path(output).is_dir()


def _pixels(options: argparse.Namespace) -> int | None:
    millions: float | None = options.max_pixels
    if millions is None:
        return None
    most = image_files.MAX_PIXELS / 1e6
    check("--max-pixels", millions, 0 < millions <= most, f"above 0 and at most {most:.0f}")
    return round(millions * 1e6)


def _say(options: argparse.Namespace, line: str) -> None:
    """Print a line unless --quiet is set; on stderr if the result goes to stdout."""
    if not options.quiet:
        print(line, file=sys.stderr if options.output == _STREAM else sys.stdout)


@contextlib.contextmanager
def _opened_log(path: str | None) -> Iterator[Callable[[Outcome], None]]:
    """Yield a function that appends an outcome to the log; without a path it does nothing."""
    if path is None:
        yield lambda outcome: None
        return
    with open(path, "a", encoding="utf-8") as file:
        yield lambda outcome: print(outcome.as_json(), file=file, flush=True)


@contextlib.contextmanager
def _bar(quiet: bool) -> Iterator[Progress]:
    """Show a progress bar on a terminal, after one second."""
    form = "filling {percentage:3.0f}% {bar} {elapsed}"
    with tqdm(total=1, delay=1, disable=quiet or None, leave=False, bar_format=form) as bar:
        yield lambda share: bar.update(share - bar.n)
