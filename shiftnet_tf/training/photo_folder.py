"""The inputs of a run: selecting, reading, scaling and caching photos, and sampling masks.

Light: without TensorFlow.
"""

import copy
import sys
import threading
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image

from shiftnet_tf.config.run import Config
from shiftnet_tf.errors import InputError, check
from shiftnet_tf.masks import sampling
from shiftnet_tf.photos import finding, image_files, pixels
from shiftnet_tf.training.photo_lists import read_photo_list

_BROKEN_SHARE = 0.05  # a larger share of unreadable photos stops a run


class PhotoFolder:
    """The usable photos in one or several folders, read and scaled on demand.

    Args:
        folders: one or several; JPEG, PNG and WebP files, including subfolders.
        image_size: pixels; a photo whose short side is smaller is skipped, never enlarged.
        short_side: pixels; larger photos are scaled down to it.
        cache_megabytes: how much of the scaled photos to keep in memory. Defaults to 0.

    Attributes:
        paths: the usable photos.
        skipped: one sentence per skipped photo.
        failure: the error that stopped the stream, or None; needed because tf.data passes on only its text.

    Raises:
        InputError: a folder does not exist, is given twice, is inside another one, or has no usable photo.
    """

    def __init__(
        self, folders: str | Path | Iterable[str | Path], image_size: int, short_side: int, cache_megabytes: int = 0
    ) -> None:
        self.image_size = image_size
        self.short_side = short_side
        self.skipped: list[str] = []
        self.failure: InputError | None = None
        self._names: dict[Path, str] = {}  # name of each photo found, relative to its folder
        self.paths: list[Path] = []
        for folder in check_distinct([folders] if isinstance(folders, str | Path) else folders):
            self.paths += self._select(folder)
        self._total = len(self.paths)
        self._cache: dict[int, np.ndarray] = {}
        self._cache_room = cache_megabytes * 2**20
        self._broken: set[Path] = set()
        self._lock = threading.Lock()

    def _select(self, folder: Path) -> list[Path]:
        found = finding.find_photos(folder)
        if not found:
            raise InputError(f"no photos (JPEG, PNG, WebP) in {str(folder)!r}")
        usable = []
        for path in found:
            self._names[path] = path.relative_to(folder).as_posix()
            try:
                smallest = min(image_files.upright_shape(path, "photo"))
            except InputError as error:
                self.skipped.append(str(error))
                continue
            if smallest < self.image_size:
                self.skipped.append(f"{path} is too small: short side {smallest}, must be at least {self.image_size}")
            else:
                usable.append(path)
        if not usable:
            first = self.skipped[0]
            raise InputError(f"none of the {len(found)} photos in {folder} can be used; the first: {first}")
        return usable

    def __len__(self) -> int:
        return len(self.paths)

    def hold_out(self) -> "PhotoFolder":
        """Move every tenth photo to a PhotoFolder for validation, and return it.

        Raises:
            InputError: there is only one photo.
        """
        if len(self) < 2:
            raise InputError(f"training needs at least 2 photos, one of them for validation. Received: {self.paths[0]}")
        return self._apart(self.paths[::10])

    def take_out(self, names: Iterable[str]) -> "PhotoFolder":
        """Move the photos with these names to a PhotoFolder of their own.

        Args:
            names: paths relative to the folder in which a photo was found.

        Returns:
            The usable ones; it may be empty.

        Raises:
            InputError: a name is in none of the folders, or no photo is left.
        """
        wanted = set(names)
        absent = wanted - set(self._names.values())
        if absent:
            raise InputError(
                f"{len(absent)} of {len(wanted)} held-out photos are not in the photo folders, such as {min(absent)}"
            )
        return self._apart([path for path in self.paths if self._names[path] in wanted])

    def _apart(self, paths: list[Path]) -> "PhotoFolder":
        """Move these photos to a PhotoFolder of their own, and return it."""
        held = copy.copy(self)  # shares the count of damaged photos with this one, but caches none
        held.paths, held.skipped, held._cache, held._cache_room = paths, [], {}, 0
        self.exclude(held)
        return held

    def exclude(self, others: "PhotoFolder") -> None:
        """Remove the photos that another PhotoFolder contains too.

        Raises:
            InputError: no photo is left.
        """
        taken = {path.resolve() for path in others.paths}
        self.paths = [path for path in self.paths if path.resolve() not in taken]
        if not self.paths:
            raise InputError("all training photos are also validation photos: choose different folders")

    def load(self, index: int) -> np.ndarray:
        """Return one photo, its short side scaled down to `short_side`; for an unreadable one, the next in the list.

        Args:
            index: from 0 to the number of photos less 1.

        Returns:
            uint8 [H, W, 3].

        Raises:
            InputError: more than 5 % of the photos cannot be read.
        """
        while index not in self._cache:
            try:
                return self._keep(index, self._scale(image_files.read_image(self.paths[index])))
            except InputError as error:
                self._count_broken(self.paths[index], error)
                index = (index + 1) % len(self.paths)
        return self._cache[index]

    def _keep(self, index: int, photo: np.ndarray) -> np.ndarray:
        with self._lock:
            if photo.nbytes <= self._cache_room and index not in self._cache:
                self._cache_room -= photo.nbytes
                self._cache[index] = photo
        return photo

    def _scale(self, photo: np.ndarray) -> np.ndarray:
        height, width = photo.shape[:2]
        factor = self.short_side / min(height, width)
        if factor >= 1:
            return photo
        return pixels.resize_image(photo, round(height * factor), round(width * factor), Image.Resampling.LANCZOS)

    def _count_broken(self, path: Path, error: InputError) -> None:
        with self._lock:
            if path not in self._broken:
                self._broken.add(path)
                print(f"skipped: {error}", file=sys.stderr)
            if len(self._broken) > _BROKEN_SHARE * self._total:
                count = len(self._broken)
                self.failure = InputError(f"{count} of {self._total} photos cannot be used; the last: {error}")
                raise self.failure


def open_photos(config: Config) -> tuple[PhotoFolder, dict[str, PhotoFolder]]:
    """Open the photos of a config, and check its folder of masks.

    Returns:
        (training photos; validation photos by set: `"val"` for the folders of `data.validation_photos`, then one for
        each of `data.validation_sets`; every tenth training photo as `"val"` if the config has neither).

    Raises:
        InputError: a folder does not exist; there are too few photos or too many broken ones; a list or a held-out
            photo does not exist; the folder of masks has none.
    """
    for validation in (False, True):
        mask_sampler(config, validation)
    section, sizes = config.data, (config.model.image_size, config.data.short_side)
    photos = PhotoFolder(section.photos, *sizes, section.cache_megabytes)
    held = {}
    if section.validation_photos:
        held["val"] = PhotoFolder(section.validation_photos, *sizes)
        photos.exclude(held["val"])
    if section.held_out:
        apart = {name: photos.take_out(names) for name, names in read_photo_list(section.held_out).items()}
        for name in section.validation_sets:
            check(
                "data.validation_sets",
                name,
                name in apart,
                f"one of the sets in {section.held_out}: {', '.join(apart)}",
            )
            if not len(apart[name]):
                raise InputError(f"none of the photos in the set {name} of {section.held_out} can be used")
            held[name] = apart[name]
    if not held:
        held["val"] = photos.hold_out()
    for folder in held.values():
        folder.short_side = config.validation_short_side
    return photos, held


def mask_sampler(config: Config, validation: bool = False) -> sampling.MaskSampler:
    """Return the sampler of training or validation masks.

    Raises:
        InputError: the folder of mask files does not exist or is empty.
    """
    kind = config.masks.validation
    weights: dict[str, float] = {kind: 1.0} if validation and kind != "mix" else config.masks.weights
    return sampling.MaskSampler(config.model.image_size, weights, config.masks.overlap, config.masks.folder_path)


def check_distinct(folders: Iterable[str | Path]) -> list[Path]:
    """Refuse folders that are given twice or inside each other, whose photos would count twice.

    Returns:
        The folders, without empty names.

    Raises:
        InputError: there is no folder, or one does not exist, is given twice, or is inside another one.
    """
    found = [Path(folder) for folder in folders if str(folder)]
    if not found:
        raise InputError("no photo folder given")
    resolved: list[Path] = []
    for folder in found:
        if not folder.is_dir():
            raise InputError(f"the photo folder does not exist: {folder}")
        for other in resolved:
            if folder.resolve() == other or other in folder.resolve().parents or folder.resolve() in other.parents:
                raise InputError(f"the folder {folder} is listed twice, or is inside another listed folder: {other}")
        resolved.append(folder.resolve())
    return found
