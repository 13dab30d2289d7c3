"""From files to a file: the one way that the command line, the server and the page take."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from shiftnet_tf.errors import InputError
from shiftnet_tf.masks import mask_files
from shiftnet_tf.photos import image_files, sheets
from shiftnet_tf.photos.photo import Photo
from shiftnet_tf.runtime.inpainter import Inpainter
from shiftnet_tf.runtime.options import DEFAULTS, FillOptions
from shiftnet_tf.runtime.strategies import Plan
from shiftnet_tf.system.atomic import real, write_atomically
from shiftnet_tf.system.progress import Progress, silent

MAP_SIDE = 2048  # pixels of the longer side of a shift map's picture, at most


@dataclass(frozen=True)
class Filled:
    """What was done with a photo.

    Attributes:
        photo: the photo, filled.
        plan: what was looked at: no window where the mask has no hole.
        shift_map: uint8 [h, w, 3], the picture of it, where it was asked for and there is a hole; else None.
        share: of the photo's pixels that were filled, 0 to 1.
    """

    photo: Photo
    plan: Plan
    shift_map: np.ndarray | None = None
    share: float = 0.0

    @property
    def has_hole(self) -> bool:
        """Whether there was a hole to fill; the photo is unchanged where not."""
        return bool(self.plan.windows)

    def encoded(self, file_format: str | None = None) -> bytes:
        """The file, of the photo's own format or another; a photo without a hole keeps its bytes in its own."""
        file_format = file_format or self.photo.own_format
        if not self.has_hole and isinstance(self.photo.source, bytes) and self.photo.is_a(file_format):
            return self.photo.source
        return self.photo.encoded(file_format)


def inpaint_photo(
    inpainter: Inpainter,
    photo: str | Path | bytes,
    masks: str | Path | bytes | Sequence[str | Path | bytes],
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
        masks: path of a mask file or its content, see `masks.mask_files`; the holes of several are joined.
        options: how, see `FillOptions`.
        shift_map: whether to draw where each part of the hole was filled from.
        max_pixels: width times height that is accepted; None: 179 million.
        file_format: Pillow's name of the format that will be written, which is refused where the photo would lose by
            it; None for any.
        progress: called before each step, see `system.progress`.

    Raises:
        InputError: what is wrong with a file.
    """
    pair = read_pair(photo, masks, options, max_pixels=max_pixels, file_format=file_format)
    return fill_pair(inpainter, *pair, options, shift_map=shift_map, progress=progress)


def read_pair(
    photo: str | Path | bytes,
    masks: str | Path | bytes | Sequence[str | Path | bytes],
    options: FillOptions = DEFAULTS,
    *,
    max_pixels: int | None = None,
    file_format: str | None = None,
) -> tuple[Photo, np.ndarray]:
    """Read a photo and its masks: the first half of `inpaint_photo`, whose arguments and errors these are.

    Returns:
        The photo, and its hole: bool [H, W].
    """
    shape = image_files.upright_shape(photo, "photo", max_pixels)
    masks = [masks] if isinstance(masks, str | Path | bytes) else masks
    hole = mask_files.read_hole(masks, shape, options, max_pixels)  # before the photo: less memory at a time
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
    """Fill the hole of a photo, in place: the second half of `inpaint_photo`, whose arguments these are."""
    before = photo.reduce(MAP_SIDE) if shift_map and hole.any() else None
    plan, shift_maps = inpainter.fill(photo, hole, options, shift_maps=shift_map, progress=progress)
    sheet = sheets.shift_map_sheet(before, hole, shift_maps) if before is not None and shift_maps else None
    return Filled(photo, plan, sheet, float(hole.mean()))


def inpaint_file(
    inpainter: Inpainter,
    photo: str | Path,
    mask: str | Path | Sequence[str | Path],
    out: str | Path,
    *,
    options: FillOptions = DEFAULTS,
    shift_map: str | Path | None = None,
    max_pixels: int | None = None,
    progress: Progress = silent,
) -> Filled:
    """Fill the hole of a photo file.

    The photo is turned upright by its EXIF orientation; metadata, ICC profile, alpha and 16-bit grey are kept. A photo
    without a hole comes back unchanged: byte for byte where `out` names the photo's format.

    Args:
        inpainter: what fills it.
        photo: path of the photo.
        mask: path of the mask file, of the photo's size (what is lighter than the middle of its range is filled), or of
            a JSON file of shapes, see `masks.mask_files`; a list of several is joined.
        out: path of the result; its suffix names the format. PNG and TIFF keep known pixels bit for bit, lossy
            formats do not; JPEG to JPEG keeps the quality.
        options: how, see `FillOptions`.
        shift_map: path of a second picture, which shows where each part of the hole was filled from (see
            `sheets.shift_map_sheet`); it is not written where the mask has no hole.
        max_pixels: width times height that is accepted; None: 179 million.
        progress: called before each step, see `system.progress`.

    Raises:
        InputError: what is wrong with a file; nothing is written then, or the result alone where the shift map cannot
            be.
    """
    photo, out = Path(photo), Path(out)
    masks = [Path(mask)] if isinstance(mask, str | Path) else [Path(path) for path in mask]
    out_format = image_files.check_output(out)
    if real(out) in map(real, masks):
        raise InputError(f"the result would replace the mask: {out}")
    if shift_map is not None:
        image_files.check_output(Path(shift_map))
        if real(shift_map) in map(real, (photo, *masks, out)):
            raise InputError(f"the picture of the shift map must have a name of its own. Received: {shift_map}")
    filled = inpaint_photo(
        inpainter,
        photo,
        masks,
        options,
        shift_map=shift_map is not None,
        max_pixels=max_pixels,
        file_format=out_format,
        progress=progress,
    )
    if not filled.has_hole and filled.photo.is_a(out_format):
        write_atomically(out, lambda part: shutil.copyfile(photo, part))
    else:
        filled.photo.save(out)
    if shift_map is not None and filled.shift_map is not None:
        image_files.write_image(shift_map, filled.shift_map)
    return filled
