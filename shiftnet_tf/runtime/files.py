"""From files to a file: the one way that the command line and every other door takes."""

import shutil
from pathlib import Path

from shiftnet_tf import image_files
from shiftnet_tf.atomic import write_atomically


def inpaint_file(inpainter, photo, mask, out):
    """Fills the hole of a photo file.

    The photo is turned upright by its EXIF orientation. A photo without a hole comes back unchanged: byte for byte
    where `out` names the photo's format.

    Args:
        inpainter: Inpainter.
        photo: str or Path of the photo.
        mask: str or Path of the mask file, of the photo's size; what is not black is hole.
        out: str or Path of the result; its suffix names the format. PNG and TIFF keep known pixels bit for bit, lossy
            formats do not.

    Returns:
        bool, False if the mask has no hole.

    Raises:
        InputError: what is wrong with a file; nothing is written then.
    """
    photo, out = Path(photo), Path(out)
    out_format = image_files.check_output(out)
    image, hole = image_files.read_image(photo), image_files.read_mask(mask)
    inpainted = inpainter(image, hole)
    if hole.any():
        image_files.write_image(out, inpainted)
    elif image_files.picture_format(photo) == out_format:
        write_atomically(out, lambda part: shutil.copyfile(photo, part))
    else:
        image_files.write_image(out, inpainted)
    return bool(hole.any())
