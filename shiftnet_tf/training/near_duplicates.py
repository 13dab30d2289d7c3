"""Find the photos that training should leave out: broken, too small, or near-duplicates of other photos.

Two photos are compared by grey thumbnails, in two steps:

1. The normalised correlation (mean 0, length 1) of their 16x16 thumbnails: all pairs, as matrix products of blocks.
   Pairs below `CANDIDATE` are different photos.
2. The similarity of the remaining pairs: the normalised correlation of the differences between neighbouring cells,
   between one whole photo and the best of 256 crops of the other (0, 2, 4 or 6 % off each side), in both directions.
   Two photos are near-duplicates from `THRESHOLD` on. Step 1 cannot decide this: two landscapes under a bright sky can
   correlate more than a photo and its crop by 3 % per side.

Mirror images count as near-duplicates: training flips photos, so a mirrored copy shows it the same picture. The
differences of a photo with less contrast than `FLAT`, such as a blank sky, stay shorter than 1, so that it is similar
to no photo.

docs/train.md gives the measurements behind `THRESHOLD`, with the commands. Light: without TensorFlow.
"""

import re
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image
from tqdm import tqdm

from shiftnet_tf.errors import InputError
from shiftnet_tf.photos import image_files
from shiftnet_tf.photos.finding import find_photos
from shiftnet_tf.system.atomic import write_atomically
from shiftnet_tf.system.machine import usable_cores
from shiftnet_tf.training.photo_folder import check_distinct

THRESHOLD = 0.9  # similarity of near-duplicates
CANDIDATE = 0.75  # correlation of pairs that step 2 looks at
FLAT = 1.0  # grey levels: root mean square of the values that are compared
BLOCK = 256  # photos that are compared at a time with all before them
FINE, COARSE = 64, 16  # cells on each side of a thumbnail as it is kept, and as it is compared
MARGINS = (0.0, 0.02, 0.04, 0.06)  # share of a side that a crop cuts off at each end
KINDS = ("broken", "too small", "near-duplicate")


@dataclass(frozen=True)
class Match:
    """The most similar photo that is kept: its index, its similarity, and whether one of the two is mirrored."""

    index: int
    similarity: float
    mirrored: bool


class Finding(NamedTuple):
    """One sentence about one photo in `folder`; `kind` is one of `KINDS`."""

    kind: str
    folder: Path
    path: Path
    text: str


class _Photo(NamedTuple):
    folder: Path
    path: Path
    size: tuple[int, int]  # height, width; (0, 0) for a broken file
    thumbnail: np.ndarray
    error: str


def list_photos(folders: Sequence[str | Path]) -> dict[Path, list[Path]]:
    """List the photos in each folder.

    Raises:
        InputError: a folder does not exist, is listed twice, is inside another one, or contains no photo.
    """
    listed = {folder: find_photos(folder) for folder in check_distinct(folders)}
    for folder, photos in listed.items():
        if not photos:
            raise InputError(f"no photos (JPEG, PNG, WebP) in {folder}")
    return listed


def make_thumbnail(photo: np.ndarray) -> np.ndarray:
    """Shrink a photo, uint8 [H, W, 3], to its grey thumbnail, uint8 [64, 64]."""
    return np.asarray(Image.fromarray(photo).convert("L").resize((FINE, FINE), Image.Resampling.BOX))


def find_duplicates(thumbnails: np.ndarray, kept: int = 0, threshold: float = THRESHOLD) -> dict[int, Match]:
    """Find the photos that are near-duplicates of an earlier one.

    A photo is compared with the earlier photos that are kept, so that the first of three similar photos is kept.
    Memory: up to 20 kB per photo, plus the pairs of a block.

    Args:
        thumbnails: uint8 [N, 64, 64] of `make_thumbnail`, those to keep first.
        kept: how many at the start are always kept and not compared with one another (validation photos).
        threshold: similarity of near-duplicates.

    Returns:
        The index of each near-duplicate and the kept photo that is most similar to it.
    """
    small = np.array([_WEIGHTS[0] @ thumbnail @ _WEIGHTS[0].T for thumbnail in thumbnails], np.float32)
    small = small.reshape(-1, COARSE, COARSE)
    both = np.stack([small, small[:, :, ::-1]])  # [2, N, 16, 16], mirrored second
    coarse, differences = _normalize(both.reshape(2, -1, COARSE**2)), _differences(both)  # [2, N, 256], [2, N, 480]

    def compare(cropped: np.ndarray, whole: np.ndarray, mirror: np.ndarray) -> np.ndarray:
        """Return the best correlation of a crop of each photo with the whole of the other one: float32 [pairs]."""
        best = np.zeros(len(cropped), np.float32)
        for photo in np.unique(cropped):
            crops, pairs = _differences(_crop(thumbnails[photo])), np.flatnonzero(cropped == photo)
            best[pairs] = (crops @ differences[mirror[pairs], whole[pairs]].T).max((0, 1))
        return best

    matches: dict[int, Match] = {}
    for start in tqdm(range(kept, len(thumbnails), BLOCK), desc="comparing", unit="block"):
        correlation = coarse[:, start : start + BLOCK] @ coarse[0, : start + BLOCK].T  # [2, block, earlier]
        mirror, i, j = np.nonzero(np.tril(correlation, start - 1) >= CANDIDATE)
        i += start
        similarity = np.maximum(compare(i, j, mirror), compare(j, i, mirror))
        near = similarity >= threshold
        for one, other, value, mirrored in sorted(zip(*(x[near].tolist() for x in (i, j, similarity, mirror)))):
            if other not in matches and (one not in matches or value > matches[one].similarity):
                matches[one] = Match(other, value, bool(mirrored))
    return matches


def _weights() -> np.ndarray:
    """Return triangle filters from 64 cells minus margins to 16: float32 [16 pairs of margins, 16, 64]."""
    weights = []
    for start in MARGINS:
        for end in MARGINS:
            width = (1 - start - end) * FINE / COARSE
            centres = start * FINE + width * (np.arange(COARSE)[:, None] + 0.5)
            filters = np.maximum(0, 1 - np.abs(np.arange(FINE) + 0.5 - centres) / width)
            weights.append(filters / filters.sum(1, keepdims=True))
    return np.array(weights, np.float32)


_WEIGHTS = _weights()


def _crop(thumbnail: np.ndarray) -> np.ndarray:
    """Return all crops of a thumbnail: [64, 64] -> float32 [16, 16, 16, 16], vertical and horizontal margins first."""
    crops: np.ndarray = (_WEIGHTS @ thumbnail)[:, None] @ _WEIGHTS.swapaxes(1, 2)
    return crops


def _normalize(values: np.ndarray) -> np.ndarray:
    """Return values [..., n] with mean 0 and length 1; shorter if they differ by less than FLAT."""
    values = values - values.mean(-1, keepdims=True)
    length = np.linalg.norm(values, axis=-1, keepdims=True)
    normalized: np.ndarray = values / np.maximum(length, FLAT * values.shape[-1] ** 0.5)
    return normalized


def _differences(small: np.ndarray) -> np.ndarray:
    """Return normalised differences between neighbouring cells: [..., 16, 16] -> [..., 480].

    Horizontal and vertical differences have mean 0 each: an even gradient, as of a clear sky, has no contrast.
    """
    parts = [np.diff(small, axis=axis).reshape(*small.shape[:-2], COARSE * (COARSE - 1)) for axis in (-1, -2)]
    return _normalize(np.concatenate([part - part.mean(-1, keepdims=True) for part in parts], -1))


def _read(place: tuple[Path, Path]) -> _Photo:
    try:
        photo = image_files.read_image(place[1])
    except InputError as error:
        return _Photo(*place, (0, 0), np.zeros((FINE, FINE), np.uint8), str(error))
    return _Photo(*place, photo.shape[:2], make_thumbnail(photo), "")


def survey(
    folders: dict[Path, list[Path]],
    validation: dict[Path, list[Path]],
    image_size: int,
    threshold: float = THRESHOLD,
) -> tuple[list[Finding], list[int]]:
    """Read all photos completely and report problems with them.

    Of near-duplicates, the photo with the most pixels is kept, then the first by name; a near-duplicate of a validation
    photo is never kept. Validation photos are not compared with one another.

    Args:
        folders: training photos, as returned by `list_photos`.
        validation: likewise, photos that must not be trained on.
        image_size: pixels; photos with a smaller short side cannot be trained on.
        threshold: similarity of near-duplicates.

    Returns:
        At most one finding per photo, and the short side in pixels of each readable training photo.
    """
    places = [(folder, path) for folder, paths in (validation | folders).items() for path in paths]
    with ThreadPoolExecutor(min(4, usable_cores())) as pool:  # Pillow decodes without the interpreter's lock
        photos = list(tqdm(pool.map(_read, places), total=len(places), desc="reading", unit="photo"))
    findings = [Finding("broken", photo.folder, photo.path, photo.error) for photo in photos if photo.error]
    photos = [photo for photo in photos if not photo.error]
    held = [photo for photo in photos if photo.folder in validation]
    usable = []
    for photo in photos[len(held) :]:
        if min(photo.size) < image_size:
            size = f"{photo.size[1]}x{photo.size[0]}"
            text = f"{photo.path}: size {size}, the short side must be at least {image_size}"
            findings.append(Finding("too small", photo.folder, photo.path, text))
        else:
            usable.append(photo)
    usable.sort(key=lambda photo: -photo.size[0] * photo.size[1])  # stable: then by name
    compared = [*held, *usable]
    thumbnails = np.array([photo.thumbnail for photo in compared], np.uint8).reshape(-1, FINE, FINE)
    similar = []
    for i, match in find_duplicates(thumbnails, len(held), threshold).items():
        mirrored = ", mirrored" if match.mirrored else ""
        text = f"{compared[i].path} of {compared[match.index].path}{mirrored}, similarity {match.similarity:.3f}"
        similar.append(Finding("near-duplicate", compared[i].folder, compared[i].path, text))
    findings += sorted(similar, key=lambda finding: str(finding.path))
    return findings, [min(photo.size) for photo in photos[len(held) :]]


def write_list(path: str | Path, findings: Iterable[Finding]) -> int:
    """Write the names of the photos to leave out, as `photo_lists.read_photo_list` and `data.held_out` read them.

    Each name is relative to the folder that was searched and follows comments that say why it is listed.

    Returns:
        The number of names.

    Raises:
        InputError: the format cannot represent a name, or the file cannot be written.
    """
    reasons: dict[str, list[str]] = {}
    for finding in findings:
        name = finding.path.relative_to(finding.folder).as_posix()
        if re.search(r"(^|\s)#", name) or name != name.strip() or len(name.splitlines()) != 1:
            raise InputError(f"a photo list cannot contain the name {name!r}: rename {finding.path}")
        reasons.setdefault(name, []).append(" ".join(f"{finding.kind}: {finding.text}".split()))
    lines = ["# Photos to leave out of training, written by training/prepare_data.py check"]
    for name, texts in sorted(reasons.items()):
        lines += ["", *(f"# {text}" for text in texts), name]
    write_atomically(path, lambda part: part.write_text("\n".join(lines) + "\n", "utf-8"))
    return len(reasons)
