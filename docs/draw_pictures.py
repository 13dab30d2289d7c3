"""Draw the pictures of README.md and docs/ that show what the bundled model does.

python docs/draw_pictures.py                          # object_removal.jpg, stages.jpg
python docs/draw_pictures.py --large ~/photos/large   # also large_removals.jpg, from photos outside the repository
"""

import argparse
from pathlib import Path

import numpy as np
from PIL import Image

from shiftnet_tf import FillOptions, Inpainter
from shiftnet_tf.evaluation.removals import read_removals
from shiftnet_tf.masks import mask_files
from shiftnet_tf.photos import image_files, pixels, sheets
from shiftnet_tf.photos.windows import Window, bounds
from shiftnet_tf.system.command import command

DOCS = Path(__file__).resolve().parent
ROOT = DOCS.parent
REMOVALS = ROOT / "training" / "removals.json"
LARGE = ("tree", "rock", "boat", "orange plant")  # things of removals.json
SIDE = 400  # pixels: side of the crops of large photos


def sample(name):
    """A sample photo uint8 [H, W, 3] and its mask uint8 [H, W]."""
    image = image_files.read_image(ROOT / "training" / "sample_photos" / "test" / f"{name}.jpg")
    return image, mask_files.read_mask(ROOT / "training" / "sample_masks" / f"{name}.png")


def object_removal(inpainter):
    """Photo, filled photo and shift map: uint8 [H, W, 3]; rows of different heights."""
    rows = []
    for name in ("gc_farm_sheep", "gc_kingfisher"):
        image, mask = sample(name)
        answer = inpainter.inpaint(image, mask, shift_maps=True)
        shift_map = sheets.shift_map_sheet(image, mask, answer.shift_maps)
        rows.append(sheets.grid([[image, answer.image, shift_map]], gap=8))
    width = min(row.shape[1] for row in rows)
    rows = [pixels.resize_image(row, round(row.shape[0] * width / row.shape[1]), width) for row in rows]
    gap = np.full((8, width, 3), 255, np.uint8)
    return np.concatenate([rows[0], gap, rows[1]])


def stages(inpainter):
    """Hole, network's prediction, shift map, copied pixels, blended pixels: uint8 [H, W, 3], two rows of crops."""
    rows = []
    for name in ("gc_farm_sheep", "gc_kingfisher"):
        image, mask = sample(name)
        network = inpainter(image, mask, options=FillOptions(detail="model"))
        answer = inpainter.inpaint(image, mask, options=FillOptions(detail="shift-map"), shift_maps=True)
        shift_map = sheets.shift_map_sheet(image, mask, answer.shift_maps, arrows=6)
        hole = pixels.composite(np.full_like(image, 255), image, mask)
        pictures = (hole, network, shift_map, copied(network, answer.shift_maps), answer.image)
        rows.append([crop(picture, bounds(mask), 300) for picture in pictures])
    return sheets.grid(rows)


def copied(image, shift_maps):
    """The pixels that shift maps name, not blended: uint8 [H, W, 3]."""
    out = image.copy()
    for window, shift_map in shift_maps:
        part = image[window.slices]
        filled = shift_map >= 0
        out[window.slices][filled] = part.reshape(-1, 3)[shift_map[filled]]
    return out


def large_removals(inpainter, folder):
    """Crops at 100 %: photo, network's prediction, shift map, a row for each of LARGE."""
    rows = []
    for name, image, mask in read_removals(REMOVALS, [folder], LARGE):
        print(name)
        filled = [inpainter(image, mask, options=FillOptions(detail=detail)) for detail in ("model", "shift-map")]
        rows.append([crop(picture, bounds(mask), SIDE) for picture in (image, *filled)])
    return sheets.grid(rows, gap=8)


def crop(picture, box, side):
    """A square around the middle of a box, inside the picture: uint8 [side, side, 3]."""
    height, width = picture.shape[:2]
    top = min(max(box.top + (box.height - side) // 2, 0), height - side)
    left = min(max(box.left + (box.width - side) // 2, 0), width - side)
    return picture[Window(top, left, side, side).slices]


@command
def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--large", metavar="DIR", help="find the large photos of training/removals.json in this folder")
    parser.add_argument("--out", default=DOCS, type=Path, metavar="DIR", help="write to this folder (default: docs)")
    options = parser.parse_args(arguments)
    inpainter = Inpainter.load()
    drawn = {"object_removal": object_removal(inpainter), "stages": stages(inpainter)}
    if options.large:
        drawn["large_removals"] = large_removals(inpainter, options.large)
    for name, picture in drawn.items():
        Image.fromarray(picture).save(options.out / f"{name}.jpg", quality=88)
        print(options.out / f"{name}.jpg")


if __name__ == "__main__":
    raise SystemExit(main())
