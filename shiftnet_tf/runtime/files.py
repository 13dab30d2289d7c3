"""From files to a file: the one way that the command line, the server and the page take."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from shiftnet_tf.errors import InputError
from shiftnet_tf.masks import mask_files
from shiftnet_tf.masks.mask_files import MaskSettings
from shiftnet_tf.photos import image_files, sheets
from shiftnet_tf.photos.photo import Photo
from shiftnet_tf.runtime.inpainter import Inpainter
from shiftnet_tf.runtime.strategies import Plan
from shiftnet_tf.system.atomic import write_atomically
from shiftnet_tf.system.progress import Progress, silent

MAP_SIDE = 2048  # pixels of the longer side of a shift map's picture, at most


@dataclass(frozen=True)
class Filled:
    """What was done with a photo.

    Attributes:
        photo: photo.Photo, filled.
        plan: strategies.Plan, what was looked at: no window where the mask has no hole.
        shift_map: uint8 [h, w, 3], the picture of it, where it was asked for and there is a hole; else None.
    """

    photo: Photo
    plan: Plan
    shift_map: object = None

    def __bool__(self):
        return bool(self.plan.windows)

    def encoded(self, file_format: str | None = None) -> bytes:
        """The file, of the photo's own format or another; a photo without a hole keeps its bytes in its own."""
        file_format = file_format or self.photo.own_format
        if not self and isinstance(self.photo.source, bytes) and self.photo.is_a(file_format):
            return self.photo.source
        return self.photo.encoded(file_format)


def inpaint_photo(
    inpainter: Inpainter,
    photo: str | Path | bytes,
    masks: list,
    strategy: str = "auto",
    settings: MaskSettings | None = None,
    shift_map: bool = False,
    max_pixels: int | None = None,
    file_format: str | None = None,
    progress: Progress = silent,
    detail: str = "auto",
) -> Filled:
    """Reads a photo and its masks and fills the hole; nothing is written.

    Args:
        inpainter: Inpainter.
        photo: str or Path of the photo, or bytes, the content of the file.
        masks: list of str or Path of mask files, or bytes, see `mask_files`; their holes are joined.
        strategy, detail: str, see `Inpainter`.
        settings: MaskSettings; None for the defaults.
        shift_map: bool, whether to draw where each part of the hole was filled from.
        max_pixels: int, width times height that is accepted; None: 179 million.
        file_format: str, Pillow's name of the format that will be written, which is refused where the photo would lose
            by it; None for any.
        progress: called before each step, see `shiftnet_tf.system.progress`.

    Returns:
        Filled.

    Raises:
        InputError: what is wrong with a file.
    """
    shape = image_files.upright_shape(photo, "photo", max_pixels)
    hole = mask_files.read_hole(masks, shape, settings, max_pixels)  # before the photo: less memory at a time
    progress(0)
    photo = Photo(photo, max_pixels)
    photo.check_format(file_format or photo.own_format)
    before = photo.reduced(MAP_SIDE) if shift_map and hole.any() else None
    plan, shift_maps = inpainter.fill(photo, hole, strategy, shift_map, progress, detail)
    sheet = sheets.shift_map_sheet(before, hole, shift_maps) if shift_maps else None
    return Filled(photo, plan, sheet)


def inpaint_file(
    inpainter: Inpainter,
    photo: str | Path,
    mask: str | Path | list,
    out: str | Path,
    strategy: str = "auto",
    settings: MaskSettings | None = None,
    shift_map: str | Path | None = None,
    max_pixels: int | None = None,
    detail: str = "auto",
    progress: Progress = silent,
) -> Filled:
    """Fills the hole of a photo file.

    The photo is turned upright by its EXIF orientation; metadata, ICC profile, alpha and 16-bit grey are kept. A photo
    without a hole comes back unchanged: byte for byte where `out` names the photo's format.

    Args:
        inpainter: Inpainter.
        photo: str or Path of the photo.
        mask: str or Path of the mask file, of the photo's size (what is not black is hole), or of a JSON file of
            shapes, see `mask_files`; a list of several is joined.
        out: str or Path of the result; its suffix names the format. PNG and TIFF keep known pixels bit for bit, lossy
            formats do not; JPEG to JPEG keeps the quality.
        strategy, detail: str, see `Inpainter`.
        settings: MaskSettings, how the mask is read; None for the defaults.
        shift_map: str or Path of a second picture, which shows where each part of the hole was filled from (see
            `pictures.shift_map_sheet`); None for none. It is not written where the mask has no hole.
        max_pixels: int, width times height that is accepted; None: 179 million.
        progress: called before each step, see `shiftnet_tf.system.progress`.

    Returns:
        Filled; false if the mask has no hole.

    Raises:
        InputError: what is wrong with a file; nothing is written then, or the result alone where the shift map cannot
            be.
    """
    photo, out = Path(photo), Path(out)
    masks = [Path(path) for path in (mask if isinstance(mask, list | tuple) else [mask])]
    out_format = image_files.check_output(out)
    if out.resolve() in (path.resolve() for path in masks):
        raise InputError(f"the result would replace the mask: {out}")
    if shift_map is not None:
        image_files.check_output(Path(shift_map))
        if Path(shift_map).resolve() in (path.resolve() for path in (photo, *masks, out)):
            raise InputError(f"the picture of the shift map must have a name of its own. Received: {shift_map}")
    filled = inpaint_photo(
        inpainter, photo, masks, strategy, settings, shift_map is not None, max_pixels, out_format, progress, detail
    )
    if not filled and filled.photo.is_a(out_format):
        write_atomically(out, lambda part: shutil.copyfile(photo, part))
    else:
        filled.photo.save(out)
    if filled.shift_map is not None:
        image_files.write_image(shift_map, filled.shift_map)
    return filled
