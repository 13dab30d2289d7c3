"""Fill a photo file: the one path that the command line, the server and the page share."""

import os
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from shiftnet_tf.errors import InputError
from shiftnet_tf.masks import mask_files
from shiftnet_tf.photos import file_formats, image_files, sheets
from shiftnet_tf.photos.photo import Photo, check_quality
from shiftnet_tf.photos.sources import FileSource, read_bytes
from shiftnet_tf.runtime.inpainter import Inpainter
from shiftnet_tf.runtime.options import DEFAULTS, FillOptions
from shiftnet_tf.runtime.strategies import Plan
from shiftnet_tf.system.atomic import file_id, make_folder, write_atomically
from shiftnet_tf.system.progress import Progress, silent
from shiftnet_tf.system.storage import Place

MAP_SIDE = 2048  # pixels: maximum longer side of the image of a shift map


@dataclass(frozen=True)
class Filled:
    """A filled photo, and how it was filled.

    Attributes:
        photo: the photo, filled.
        plan: the windows that the model saw; none if the mask has no hole.
        shift_map: uint8 [h, w, 3], the image of the shift map; None unless it was requested and there is a hole.
        share: share of the photo's pixels that were filled, 0 to 1.
    """

    photo: Photo
    plan: Plan
    shift_map: np.ndarray | None = None
    share: float = 0.0

    @property
    def has_hole(self) -> bool:
        """Whether there was a hole to fill; if not, the photo is unchanged."""
        return bool(self.plan.windows)

    def encoded(self, file_format: str | None = None, quality: int | None = None) -> bytes:
        """Return the bytes of the file; a photo without a hole keeps its own bytes in its own format.

        Args:
            file_format, quality: see `Photo.encoded`.
        """
        file_format = file_format or self.photo.own_format
        if self._is_unchanged(file_format):
            return read_bytes(self.photo.source, "photo")
        return self.photo.encoded(file_format, quality)

    def save(self, path: str | Path, quality: int | None = None) -> None:
        """Write the bytes that `encoded` returns, in the format of the suffix; the folder is created.

        Args:
            path: the file.
            quality: see `Photo.save`.
        """
        source = self.photo.source
        if not self._is_unchanged(file_formats.check_output(Path(path))):
            self.photo.save(path, quality=quality)
            return
        make_folder(Path(path).parent)
        if isinstance(source, bytes):
            write_atomically(path, lambda part: part.write_bytes(source))
        else:
            write_atomically(path, lambda part: shutil.copyfile(source, part))

    def _is_unchanged(self, file_format: str) -> bool:
        return not self.has_hole and self.photo.is_a(file_format)


def inpaint_photo(
    inpainter: Inpainter,
    photo: FileSource,
    masks: FileSource | Sequence[FileSource],
    options: FillOptions = DEFAULTS,
    *,
    shift_map: bool = False,
    max_pixels: int | None = None,
    file_format: str | None = None,
    progress: Progress = silent,
) -> Filled:
    """Read a photo and its masks and fill the hole; nothing is written.

    Args:
        inpainter: what fills it.
        photo: path of the photo, or the content of the file.
        masks: path or content of a mask file, see `masks.mask_files`; the holes of several are combined.
        options: see `FillOptions`.
        shift_map: whether to draw where each part of the hole was copied from.
        max_pixels: maximum width times height; None: 179 million.
        file_format: Pillow's name of the format to be written, which is refused if the photo would lose data in it;
            None: any.
        progress: called before each step, see `system.progress`.

    Raises:
        InputError: a file cannot be used; the message says why.
    """
    pair = read_pair(photo, masks, options, max_pixels=max_pixels, file_format=file_format)
    return fill_pair(inpainter, *pair, options, shift_map=shift_map, progress=progress)


def read_pair(
    photo: FileSource,
    masks: FileSource | Sequence[FileSource],
    options: FillOptions = DEFAULTS,
    *,
    max_pixels: int | None = None,
    file_format: str | None = None,
) -> tuple[Photo, np.ndarray]:
    """Read a photo and its masks: the first half of `inpaint_photo`, with the same arguments and errors.

    Returns:
        The photo, and its hole: bool [H, W].
    """
    shape = image_files.upright_shape(photo, "photo", max_pixels)
    masks = [masks] if isinstance(masks, str | os.PathLike | bytes) else masks
    hole = mask_files.read_hole(masks, shape, options, max_pixels)  # before the photo: it keeps the memory peak low
    opened = Photo(photo, max_pixels)
    opened.check_format(file_format or opened.own_format)
    return opened, hole


def fill_pair(
    inpainter: Inpainter,
    photo: Photo,
    hole: np.ndarray,
    options: FillOptions = DEFAULTS,
    *,
    shift_map: bool = False,
    progress: Progress = silent,
) -> Filled:
    """Fill the hole of a photo in place: the second half of `inpaint_photo`, with the same arguments."""
    before = photo.reduce(MAP_SIDE) if shift_map and hole.any() else None
    plan, shift_maps = inpainter.fill(photo, hole, options, shift_maps=shift_map, progress=progress)
    sheet = sheets.shift_map_sheet(before, hole, shift_maps) if before is not None and shift_maps else None
    return Filled(photo, plan, sheet, float(hole.mean()))


def inpaint_file(
    inpainter: Inpainter,
    photo: FileSource,
    mask: FileSource | Sequence[FileSource],
    out: str | Path | BinaryIO,
    *,
    options: FillOptions = DEFAULTS,
    shift_map: str | Path | None = None,
    file_format: str | None = None,
    quality: int | None = None,
    overwrite: bool = False,
    max_pixels: int | None = None,
    progress: Progress = silent,
) -> Filled:
    """Fill the hole of a photo file.

    The photo is turned upright by its EXIF orientation; metadata, ICC profile, alpha and 16-bit grey are kept. A photo
    without a hole comes back unchanged: byte for byte where `out` names the photo's format.

    Args:
        inpainter: what fills it.
        photo: path of the photo, or the content of the file.
        mask: path or content of a mask image of the photo's size (pixels lighter than the middle of its range are
            filled) or of a JSON file of shapes, see `masks.mask_files`; several in a list are combined.
        out: path of the result, whose suffix selects the format and whose folder is created; or an open binary file.
            PNG and TIFF keep known pixels bit for bit, lossy formats do not; JPEG to JPEG keeps the quality.
        options: see `FillOptions`.
        shift_map: path of a second image, which shows where each part of the hole was copied from (see
            `sheets.shift_map_sheet`); not written if the mask has no hole.
        file_format: Pillow's name of the format to write to an open file; None: the photo's own.
        quality: 1 to 100, for lossy formats; None: that of the photo's file, or 95.
        overwrite: whether `out` may be the photo itself.
        max_pixels: maximum width times height; None: 179 million.
        progress: called before each step, see `system.progress`.

    Raises:
        InputError: a file cannot be used; the message says why. Nothing is written then, except the result if only the
            shift map fails.
    """
    masks = [mask] if isinstance(mask, str | os.PathLike | bytes) else list(mask)
    path = Path(out) if isinstance(out, str | os.PathLike) else None
    if path is not None:
        file_format = file_formats.check_output(path)
        check_overwriting([path], [] if overwrite else [photo], masks)
    if file_format is not None:
        check_quality(quality, file_format)
    if shift_map is not None:
        file_formats.check_output(Path(shift_map))
        others = [file_id(one) for one in (photo, *masks, path) if isinstance(one, str | os.PathLike)]
        if file_id(shift_map) in others:
            raise InputError(
                f"the shift map needs a file of its own, not an input or the output. Received: {shift_map}"
            )
    opened, hole = read_pair(photo, masks, options, max_pixels=max_pixels, file_format=file_format)
    if path is not None:
        make_folder(path.parent)  # fails before the work, not after it
    filled = fill_pair(inpainter, opened, hole, options, shift_map=shift_map is not None, progress=progress)
    if isinstance(out, str | os.PathLike):
        filled.save(out, quality)
    else:
        out.write(filled.encoded(file_format, quality))
    if shift_map is not None and filled.shift_map is not None:
        image_files.write_image(shift_map, filled.shift_map)
    return filled


def check_overwriting(outs: Sequence[Place], photos: Iterable[FileSource], masks: Iterable[FileSource]) -> None:
    """Refuse results that would overwrite an input, whatever link or spelling names it.

    Args:
        outs: paths of the results.
        photos, masks: inputs not to overwrite; contents of files cannot be overwritten.

    Raises:
        InputError: a result would overwrite one of them.
    """
    inputs = {file_id(mask): "mask" for mask in masks if not isinstance(mask, bytes)}
    inputs |= {file_id(photo): "photo" for photo in photos if not isinstance(photo, bytes)}
    for out in outs:
        what = inputs.get(file_id(out))
        if what == "mask":
            raise InputError(f"the output would overwrite the mask {out}: choose another output")
        if what:
            raise InputError(
                f"the output would overwrite the photo {out}: choose another output, or pass --overwrite (in Python, "
                "overwrite=True)"
            )
