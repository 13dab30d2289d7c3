"""Fill one photo with every model file of a folder, and draw the results side by side.

    python export/compare_runtimes.py models/demo PHOTO --mask MASK --out comparison.png

The picture shows the photo, the hole, the result of each runtime, and the shift map (where each part of the hole came
from). The script also prints how much each result differs from the first.
"""

import argparse
from pathlib import Path

import numpy as np

from shiftnet_tf import FillOptions
from shiftnet_tf.errors import InputError
from shiftnet_tf.masks import mask_files
from shiftnet_tf.model_folder import ModelSpec
from shiftnet_tf.photos import file_formats, image_files, pixels, sheets
from shiftnet_tf.runtime import Inpainter
from shiftnet_tf.runtime.backends import RUNTIMES
from shiftnet_tf.system.command import command
from shiftnet_tf.system.quiet import quiet_start

NAMES = {"onnxruntime": "ONNX Runtime", "litert": "LiteRT", "tensorflow": "SavedModel"}


def parse(arguments):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="read the model files in this folder")
    parser.add_argument("photo")
    parser.add_argument("--mask", required=True, help="fill the light part of this mask, which has the photo's size")
    parser.add_argument("--out", required=True, help="write this picture")
    return parser.parse_args(arguments)


def fill(folder, image, mask):
    """The answer of each runtime for which the folder has a file: dict of runtime to Inpainted."""
    formats = {entry.format for entry in ModelSpec.read(folder).files.values()}
    answers = {}
    for runtime, row in RUNTIMES.items():
        if row.format in formats:
            with quiet_start():
                inpainter = Inpainter.load(folder, runtime=runtime)
            maps = "shift_map" in inpainter.model.entry.outputs
            answers[runtime] = inpainter.inpaint(image, mask, FillOptions(detail="model"), shift_maps=maps)
    return answers


def draw(image, mask, answers):
    """All pictures, three in a row, each with its caption."""
    hole = pixels.composite(np.full_like(image, 255), image, mask)
    panels = {"photo": image, "hole": hole} | {NAMES[name]: answer.image for name, answer in answers.items()}
    shift_maps = [answer.shift_maps for answer in answers.values() if answer.shift_maps]
    if shift_maps:
        panels["filled from"] = sheets.shift_map_sheet(image, mask, shift_maps[0])
    cells = [sheets.add_caption(name, picture) for name, picture in panels.items()]
    return sheets.grid([cells[i : i + 3] for i in range(0, len(cells), 3)], gap=8)


@command
def main(arguments=None):
    options = parse(arguments)
    file_formats.check_output(Path(options.out))
    image, mask = image_files.read_image(options.photo), mask_files.read_mask(options.mask)
    if not mask.any():
        raise InputError(f"the mask has no hole, so there is nothing to compare: {options.mask}")
    answers = fill(options.model, image, mask)
    first, *others = answers
    for name in others:
        difference = np.abs(answers[name].image.astype(int) - answers[first].image)[mask != 0]
        print(
            f"{NAMES[name]} against {NAMES[first]}, in the hole: mean difference {difference.mean():.3g} grey levels, "
            f"{100 * (difference > 1).mean():.2g} % of values off by more than 1"
        )
    image_files.write_image(options.out, draw(image, mask, answers))
    print(options.out)


if __name__ == "__main__":
    raise SystemExit(main())
