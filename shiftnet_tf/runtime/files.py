"""From files to a file: the one way that the command line and every other door takes."""

import shutil
from pathlib import Path

from shiftnet_tf import image_files, pictures
from shiftnet_tf.atomic import write_atomically
from shiftnet_tf.errors import InputError


def inpaint_file(inpainter, photo, mask, out, shift_map=None):
    """Fills the hole of a photo file.

    The photo is turned upright by its EXIF orientation. A photo without a hole comes back unchanged: byte for byte
    where `out` names the photo's format.

    Args:
        inpainter: Inpainter.
        photo: str or Path of the photo.
        mask: str or Path of the mask file, of the photo's size; what is not black is hole.
        out: str or Path of the result; its suffix names the format. PNG and TIFF keep known pixels bit for bit, lossy
            formats do not.
        shift_map: str or Path of a second picture, which shows where each part of the hole was filled from (see
            `pictures.shift_map_picture`); None for none. It is not written where the mask has no hole.

    Returns:
        bool, False if the mask has no hole.

    Raises:
        InputError: what is wrong with a file; nothing is written then, or the result alone where the shift map cannot
            be.
    """
    photo, out = Path(photo), Path(out)
    out_format = image_files.check_output(out)
    if shift_map is not None:
        image_files.check_output(Path(shift_map))
        if Path(shift_map).resolve() in (Path(path).resolve() for path in (photo, mask, out)):
            raise InputError(f"the picture of the shift map must have a name of its own. Received: {shift_map}")
    image, hole = image_files.read_image(photo), image_files.read_mask(mask)
    if shift_map is None or not hole.any():
        inpainted = inpainter(image, hole)
    else:
        inpainted, sources = inpainter(image, hole, return_shift_map=True)
        sheet = pictures.shift_map_picture(image, hole, sources)
    if hole.any():
        image_files.write_image(out, inpainted)
        if shift_map is not None:
            image_files.write_image(shift_map, sheet)
    elif image_files.picture_format(photo) == out_format:
        write_atomically(out, lambda part: shutil.copyfile(photo, part))
    else:
        image_files.write_image(out, inpainted)
    return bool(hole.any())
