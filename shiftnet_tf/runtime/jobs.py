"""Match photos with masks and output files, for a folder or a list of photos."""

import os
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from shiftnet_tf.errors import InputError
from shiftnet_tf.photos import file_formats, finding
from shiftnet_tf.runtime.files import check_overwriting
from shiftnet_tf.system.atomic import link_target, real
from shiftnet_tf.system.storage import Place, Url, place

Paths = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]


@dataclass(frozen=True)
class Job:
    """A photo to fill.

    Attributes:
        photo: the file.
        masks: its mask files, which are combined; empty if none has its name.
        out: the file to write.
    """

    photo: Place
    masks: tuple[Place, ...]
    out: Place


def plan_jobs(photos: Paths, masks: Paths, out: Place, suffix: str | None = None, overwrite: bool = False) -> list[Job]:
    """List the photos to fill, with their masks and outputs.

    Args:
        photos: a folder, see `pair`, or a list of files; photos, masks and results may also be in an object store.
        masks: a folder of masks named like the photos (suffixes may differ), one file for all photos, or a list of
            files, which are combined.
        out: the output folder; results have the names of their photos, or their paths relative to the folder of photos.
        suffix: such as `".png"` or `"png"`, of the results; None keeps each photo's own, see
            `file_formats.result_name`.
        overwrite: whether results may replace photos.

    Raises:
        InputError: there is no photo or no mask, two photos would be written to one file, a result would overwrite a
            photo or a mask, `out` cannot be a folder, or a bucket does not exist or cannot be read.
    """
    _check_buckets([*listed(photos), *listed(masks), out])
    if isinstance(photos, str | os.PathLike):
        found = pair(photos, masks, out)
        paths = [place(photos) / name for name, _ in found]
    else:
        paths = listed(photos)
        if not paths:
            raise InputError("no photo given")
        if folders := [path for path in paths if path.is_dir()]:
            raise InputError(f"a folder of photos cannot be combined with other photos. Received: {folders[0]}")
        found = match([Path(path.name) for path in paths], masks)
    if isinstance(out, Path):
        if out.exists() and not out.is_dir():
            raise InputError(f"the output must be a folder, not a file: {out}")
        link_target(out)
    if real(out) in [real(mask) for mask in listed(masks) if mask.is_dir()]:
        raise InputError(f"the output folder must not be the folder of masks. Received: {out}")
    jobs = [Job(path, given, out / result_name(name, suffix)) for path, (name, given) in zip(paths, found)]
    doubled = [target for target, count in Counter(job.out for job in jobs).items() if count > 1]
    if doubled:
        cure = "leave out --suffix" if suffix else "rename one of them"
        raise InputError(f"two photos would be written to {min(doubled)}: {cure}")
    given = {mask for job in jobs for mask in job.masks}
    check_overwriting([job.out for job in jobs], [] if overwrite else paths, given)
    return jobs


def _check_buckets(places: Sequence[Place]) -> None:
    for bucket in {one.bucket for one in places if isinstance(one, Url)}:
        bucket.check()


def result_name(photo: Path, suffix: str | None = None) -> Path:
    """Return the name of a photo's result.

    Args:
        photo: name of the photo.
        suffix: of the result; None: see `file_formats.result_name`.

    Raises:
        InputError: the suffix is unknown.
    """
    if not suffix:
        return file_formats.result_name(photo)
    suffix = "." + suffix.removeprefix(".")
    file_formats.check_suffix(f"photo{suffix}")
    return photo.with_suffix(suffix)


def pair(
    photos: str | os.PathLike[str], masks: Paths, out: Place | None = None
) -> list[tuple[Path, tuple[Place, ...]]]:
    """List the photos of a folder, each with its masks.

    Args:
        photos: the folder, which is searched recursively, see `finding.find_files`.
        masks: see `match`.
        out: the output folder, or None; files in it or in a folder of masks are not photos.

    Returns:
        The path of each photo relative to `photos`, and its masks; sorted.

    Raises:
        InputError: no such folder or file, or no photo in it.
    """
    photos = place(photos)
    if not photos.is_dir():
        raise InputError(f"the photo folder does not exist: {photos}")
    others = [real(path) for path in listed(masks)]
    if out is not None and real(out) != real(photos):
        others.append(real(out))
    found = _find(photos, file_formats.readable_suffixes())
    found = [path for path in found if not any(real(path).is_relative_to(other) for other in others)]
    if not found:
        raise InputError(f"no photos in {photos}")
    return match([path.relative_to(photos) for path in found], masks)


def _find(folder: Place, suffixes: tuple[str, ...]) -> Sequence[Place]:
    return folder.find(suffixes) if isinstance(folder, Url) else finding.find_photos(folder, suffixes)


def match(names: Sequence[Path], masks: Paths) -> list[tuple[Path, tuple[Place, ...]]]:
    """Find the masks of photos.

    Args:
        names: of the photos.
        masks: a folder of masks named like the photos (suffixes may differ), or one or several files, which serve all
            photos. Accented letters match in composed form (Linux, Windows) and in decomposed form (macOS).

    Returns:
        Each name with its masks, () if there is none.

    Raises:
        InputError: a mask does not exist, or a folder is combined with other masks.
    """
    paths = listed(masks)
    if not paths:
        raise InputError("no mask given")
    for path in paths:
        if not path.exists():
            raise InputError(f"the mask does not exist: {path}")
        if path.is_dir() and len(paths) > 1:
            raise InputError(f"a folder of masks cannot be combined with other masks. Received: {path}")
    if not paths[0].is_dir():
        return [(name, tuple(paths)) for name in names]
    by_name: dict[str, Place] = {}
    for path in _find(paths[0], (*file_formats.readable_suffixes(), ".json")):
        by_name.setdefault(str(path.relative_to(paths[0]).with_suffix("")), path)
    composed: dict[str, Place] = {}
    for stem, path in by_name.items():
        composed.setdefault(unicodedata.normalize("NFC", stem), path)
    stems = [str(name.with_suffix("")) for name in names]
    found = [by_name.get(stem) or composed.get(unicodedata.normalize("NFC", stem)) for stem in stems]
    return [(name, () if path is None else (path,)) for name, path in zip(names, found)]


def listed(paths: Paths) -> list[Place]:
    """Return one path or URL, or several, as a list."""
    return [place(path) for path in ([paths] if isinstance(paths, str | os.PathLike) else paths)]
