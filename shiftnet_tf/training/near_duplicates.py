"""Find the photos that training should leave out: broken, too small, or near-duplicates of other photos.

Two photos are compared by grey thumbnails, in two steps:

1. The normalised correlation (mean 0, length 1) of their 16x16 thumbnails: all pairs, as matrix products of blocks.
   Pairs below `CANDIDATE` are different photos.
2. The similarity of the remaining pairs: the normalised correlation of the differences between neighbouring cells, of
   the whole of one photo and the best of 256 crops of the other (0, 2, 4 or 6 % off each side), both ways round. Two
   photos are near-duplicates from `THRESHOLD` on. Step 1 cannot decide this: two landscapes under a bright sky can
   correlate more than a photo and its crop by 3 % a side.

Mirror images count as near-duplicates: training flips photos, so a mirrored copy shows it the same picture. Photos with
little contrast, such as a blank sky, have no meaningful correlation; they are reported as flat and not compared.

docs/train.md gives the measurements behind `THRESHOLD` and `FLAT`, with the commands. Light: without TensorFlow.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from shiftnet_tf.errors import InputError
from shiftnet_tf.photos import image_files
from shiftnet_tf.system.atomic import write_atomically
from shiftnet_tf.system.machine import usable_cores

THRESHOLD = 0.9  # similarity of near-duplicates
CANDIDATE = 0.75  # correlation of pairs that step 2 looks at
FLAT = 1.0  # grey levels: root mean square of the differences between neighbouring cells, without their mean
BLOCK = 1024  # photos on each side of a block of pairs
FINE, COARSE = 64, 16  # cells on each side of a thumbnail as it is kept, and as it is compared
MARGINS = (0.0, 0.02, 0.04, 0.06)  # share of the side that a crop cuts off at each end
_TOGETHER = (
    32  # photos in one product: OpenBLAS starts threads for larger ones, which on busy cores takes 4 times as long
)
LEAVE_OUT = ("broken", "too small", "near-duplicate")  # kinds of findings; photos of other kinds can be trained on

Progress = Callable[..., Iterable[Any]]  # called as tqdm is: progress(iterable, total=..., desc=..., unit=...)


@dataclass(frozen=True)
class Match:
    """The most similar photo that is kept."""

    index: int
    similarity: float
    mirrored: bool


@dataclass(frozen=True)
class Finding:
    """One sentence about one photo. `kind` is one of `LEAVE_OUT` or `"flat"`."""

    kind: str
    folder: Path
    path: Path
    text: str


@dataclass(frozen=True)
class Report:
    """What `survey` found: one finding at most for a photo, and the short side in pixels of each readable photo."""

    findings: list[Finding]
    sides: list[int]


class _Photo(NamedTuple):
    folder: Path
    path: Path
    size: tuple[int, int]  # height, width; 0 where it is broken
    thumbnail: np.ndarray
    error: str


def _silent(items: Iterable[Any], **_: Any) -> Iterable[Any]:
    return items


def list_photos(folders: Sequence[str | Path]) -> dict[Path, list[Path]]:
    """List the photos below each folder.

    Raises:
        InputError: a folder does not exist, is listed twice, lies inside another one, or holds no photo.
    """
    listed: dict[Path, Path] = {}
    for folder in map(Path, folders):
        if not folder.is_dir():
            raise InputError(f"no such folder: {folder}")
        place = folder.resolve()
        for other, name in listed.items():
            if place == other:
                raise InputError(f"the folder {folder} is listed twice; list it once")
            if place in other.parents or other in place.parents:
                raise InputError(f"one of the folders {name} and {folder} contains the other; list separate folders")
        listed[place] = folder
    found = {folder: image_files.find_photos(folder) for folder in listed.values()}
    for folder, photos in found.items():
        if not photos:
            raise InputError(f"no photo (JPEG, PNG, WebP) below {folder}")
    return found


def make_thumbnail(photo: np.ndarray) -> np.ndarray:
    """Shrink a photo, uint8 [H, W, 3], to its grey thumbnail, uint8 [64, 64]."""
    return np.asarray(Image.fromarray(photo).convert("L").resize((FINE, FINE), Image.Resampling.BOX))


def find_duplicates(
    thumbnails: np.ndarray,
    kept: int = 0,
    threshold: float = THRESHOLD,
    block: int = BLOCK,
    progress: Progress = _silent,
) -> dict[int, Match]:
    """Find the photos that are near-duplicates of an earlier one.

    A photo is compared with the earlier photos that are kept, so that of three alike photos the first is kept. Memory:
    up to 20 kB a photo and 64 MB for the pairs of a block.

    Args:
        thumbnails: uint8 [N, 64, 64] of `make_thumbnail`, those to keep first.
        kept: how many at the beginning are kept in any case and not compared with one another (validation photos).
        threshold: similarity of near-duplicates.
        block: photos on each side of a block of pairs; it changes the memory, not the result.
        progress: wraps the list of blocks, such as `tqdm.tqdm`.

    Returns:
        The index of each near-duplicate and the kept photo that is most similar to it.
    """
    comparison = _Comparison(thumbnails)
    starts = range(0, len(thumbnails), block)
    tiles = [(row, column) for row in starts for column in starts if column <= row]
    matches: dict[int, Match] = {}
    for row, column in progress(tiles, desc="comparing", unit="block"):
        rows = np.arange(max(row, kept), min(row + block, len(thumbnails)))
        columns = np.array([j for j in range(column, min(column + block, len(thumbnails))) if j not in matches], int)
        for i, j, similarity, mirrored in sorted(comparison.pairs(rows, columns, threshold)):
            if j not in matches and (i not in matches or similarity > matches[i].similarity):
                matches[i] = Match(j, similarity, mirrored)
    return matches


def is_flat(thumbnails: np.ndarray) -> np.ndarray:
    """Tell which thumbnails, uint8 [N, 64, 64], have too little contrast to be compared: bool [N]."""
    return _differences(_shrink(thumbnails))[1] < FLAT


class _Comparison:
    """The thumbnails in the forms that the two steps compare."""

    def __init__(self, thumbnails: np.ndarray):
        self.thumbnails = thumbnails
        small = _shrink(thumbnails)
        small[is_flat(thumbnails)] = 0  # no correlation with anything
        both = np.stack([small, small[:, :, ::-1]])  # [2, N, 16, 16], mirrored second
        self.coarse = _normalize(both.reshape(*both.shape[:2], COARSE**2))  # [2, N, 256]
        self.differences = _differences(both)[0]  # [2, N, 480]

    def pairs(self, rows: np.ndarray, columns: np.ndarray, threshold: float) -> Iterator[tuple[int, int, float, bool]]:
        """Pairs of a row and an earlier column from the threshold on: (row, column, similarity, mirrored)."""
        found = []
        for mirrored in (0, 1):
            correlation = self.coarse[mirrored, rows] @ self.coarse[0, columns].T
            correlation[columns >= rows[:, None]] = 0
            i, j = np.nonzero(correlation >= CANDIDATE)
            found.append((rows[i], columns[j], np.full(len(i), mirrored)))
        i, j, mirror = (np.concatenate(part) for part in zip(*found))
        similarity = np.maximum(self._similarities(i, j, mirror), self._similarities(j, i, mirror))
        near = similarity >= threshold
        return zip(i[near].tolist(), j[near].tolist(), similarity[near].tolist(), mirror[near].astype(bool).tolist())

    def _similarities(self, cropped: np.ndarray, others: np.ndarray, mirror: np.ndarray) -> np.ndarray:
        """The best correlation of a crop of each photo with the whole of the other one: float32 [pairs]."""
        best = np.zeros(len(cropped), np.float32)
        order = np.argsort(cropped, kind="stable")
        for group in np.split(order, np.flatnonzero(np.diff(cropped[order])) + 1):  # the pairs of one cropped photo
            if len(group):
                crops = _differences(_crops(self.thumbnails[cropped[group[0]]]))[0]  # [16, 16, 480]
                for part in np.array_split(group, -(-len(group) // _TOGETHER)):
                    best[part] = (crops @ self.differences[mirror[part], others[part]].T).max((0, 1))
        return best


def _weights() -> np.ndarray:
    """Triangle filters from 64 cells, less a margin at each end, to 16: float32 [16 pairs of margins, 16, 64]."""
    weights = []
    for start in MARGINS:
        for end in MARGINS:
            width = (1 - start - end) * FINE / COARSE
            centres = start * FINE + width * (np.arange(COARSE)[:, None] + 0.5)
            filters = np.maximum(0, 1 - np.abs(np.arange(FINE) + 0.5 - centres) / width)
            weights.append(filters / filters.sum(1, keepdims=True))
    return np.array(weights, np.float32)


_WEIGHTS = _weights()


def _shrink(thumbnails: np.ndarray) -> np.ndarray:
    """[N, 64, 64] -> float32 [N, 16, 16], nothing cut off."""
    small = [_WEIGHTS[0] @ thumbnail @ _WEIGHTS[0].T for thumbnail in thumbnails]  # one by one, to save memory
    return np.array(small, np.float32).reshape(-1, COARSE, COARSE)


def _crops(thumbnail: np.ndarray) -> np.ndarray:
    """[64, 64] -> float32 [16, 16, 16, 16]: vertical margins, horizontal margins, rows, columns."""
    crops: np.ndarray = (_WEIGHTS @ thumbnail)[:, None] @ _WEIGHTS.swapaxes(1, 2)
    return crops


def _normalize(values: np.ndarray) -> np.ndarray:
    """[..., n] with mean 0 and length 1; zeros where all values are equal."""
    values = values - values.mean(-1, keepdims=True)
    normalized: np.ndarray = values / np.maximum(np.linalg.norm(values, axis=-1, keepdims=True), 1e-3)
    return normalized


def _differences(small: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Differences between neighbouring cells of [..., 16, 16]: [..., 480], normalised, and their contrast [...].

    Horizontal and vertical differences have mean 0 each: an even gradient, as of a clear sky, has no contrast.
    """
    parts = [np.diff(small, axis=axis).reshape(*small.shape[:-2], COARSE * (COARSE - 1)) for axis in (-1, -2)]
    values = np.concatenate([part - part.mean(-1, keepdims=True) for part in parts], -1)
    length = np.linalg.norm(values, axis=-1)
    return values / np.maximum(length, 1e-3)[..., None], length / np.sqrt(values.shape[-1])


def _read(place: tuple[Path, Path]) -> _Photo:
    folder, path = place
    try:
        photo = image_files.read_image(path)
    except InputError as error:
        return _Photo(folder, path, (0, 0), np.zeros((FINE, FINE), np.uint8), str(error))
    return _Photo(folder, path, photo.shape[:2], make_thumbnail(photo), "")


def _read_all(listed: dict[Path, list[Path]], progress: Progress) -> list[_Photo]:
    places = [(folder, path) for folder, paths in listed.items() for path in paths]
    pool = ThreadPoolExecutor(min(4, usable_cores()))  # Pillow decodes without the interpreter's lock
    try:
        return list(progress(pool.map(_read, places), total=len(places), desc="reading", unit="photo"))
    finally:
        pool.shutdown(cancel_futures=True)


def survey(
    folders: dict[Path, list[Path]],
    validation: dict[Path, list[Path]],
    image_size: int,
    threshold: float = THRESHOLD,
    progress: Progress = _silent,
) -> Report:
    """Read all photos whole and say what is wrong with them.

    Of near-duplicates the photo with the most pixels is kept, then the first by name; a near-duplicate of a validation
    photo is never kept. Validation photos are not compared with one another.

    Args:
        folders: photos to train on, as `list_photos` gives them.
        validation: likewise, photos that must not be trained on.
        image_size: pixels; photos with a smaller short side cannot be trained on.
        threshold: similarity of near-duplicates.
        progress: wraps what is iterated over, such as `tqdm.tqdm`.
    """
    photos = _read_all({**validation, **folders}, progress)
    findings = [Finding("broken", photo.folder, photo.path, photo.error) for photo in photos if photo.error]
    readable = [photo for photo in photos if not photo.error]
    for photo in readable:
        if photo.folder in folders and min(photo.size) < image_size:
            size = f"{photo.size[1]}x{photo.size[0]}"
            text = f"{photo.path}: size {size}, the short side must be at least {image_size}"
            findings.append(Finding("too small", photo.folder, photo.path, text))
    held = [photo for photo in readable if photo.folder in validation]
    usable = [photo for photo in readable if photo.folder in folders and min(photo.size) >= image_size]
    usable.sort(key=lambda photo: -photo.size[0] * photo.size[1])  # stable: then by name
    findings += _compare([*held, *usable], len(held), threshold, progress)
    return Report(findings, [min(photo.size) for photo in readable if photo.folder in folders])


def _compare(photos: list[_Photo], kept: int, threshold: float, progress: Progress) -> list[Finding]:
    thumbnails = np.array([photo.thumbnail for photo in photos], np.uint8).reshape(-1, FINE, FINE)
    findings = []
    for i, match in find_duplicates(thumbnails, kept, threshold, progress=progress).items():
        mirrored = ", mirrored" if match.mirrored else ""
        text = f"{photos[i].path} of {photos[match.index].path}{mirrored}, similarity {match.similarity:.3f}"
        findings.append(Finding("near-duplicate", photos[i].folder, photos[i].path, text))
    for i in np.flatnonzero(is_flat(thumbnails)).tolist():
        text = f"{photos[i].path}: too little contrast, not compared with other photos"
        findings.append(Finding("flat", photos[i].folder, photos[i].path, text))
    return sorted(findings, key=lambda finding: (finding.kind == "flat", str(finding.path)))


def check_list(path: str | Path) -> None:
    """Refuse a list that cannot be written.

    Raises:
        InputError: its folder does not exist, or it is a folder.
    """
    if not Path(path).parent.is_dir():
        raise InputError(f"cannot write the list {path}: its folder does not exist")
    if Path(path).is_dir():
        raise InputError(f"cannot write the list {path}: it is a folder; name a file")


def write_list(path: str | Path, findings: Iterable[Finding]) -> int:
    """Write the names of the photos to leave out, as `photo_lists.read_photo_list` and `data.held_out` read them.

    Each name is relative to the folder that was searched and follows comments that say why it is listed.

    Returns:
        The number of names.

    Raises:
        InputError: the format cannot hold a name, or the file cannot be written.
    """
    reasons: dict[str, list[str]] = {}
    for finding in findings:
        if finding.kind not in LEAVE_OUT:
            continue
        name = finding.path.relative_to(finding.folder).as_posix()
        if re.search(r"(^|\s)#", name) or name != name.strip() or len(name.splitlines()) != 1:
            raise InputError(f"a list of photos cannot hold the name {name!r}; rename {finding.path}")
        reasons.setdefault(name, []).append(" ".join(f"{finding.kind}: {finding.text}".split()))
    lines = ["# Photos to leave out of training, written by training/prepare_data.py check"]
    for name, texts in sorted(reasons.items()):
        lines += ["", *(f"# {text}" for text in texts), name]
    write_atomically(path, lambda part: part.write_text("\n".join(lines) + "\n", "utf-8"))
    return len(reasons)
