"""What a user of the library writes; `make lint` checks that its types are known."""

import sys
from pathlib import Path

import numpy as np
from PIL import Image

from shiftnet_tf import FillOptions, Inpainter, InputError, inpaint_file, inpaint_folder


def fill(photo: Path, mask: Path, out: Path) -> str:
    with Inpainter.load() as inpainter:
        return describe(inpainter, photo, mask, out)


def describe(inpainter: Inpainter, photo: Path, mask: Path, out: Path) -> str:
    options = FillOptions(detail="shift-map", dilate=2)
    filled = inpaint_file(inpainter, photo, mask, out, options=options)
    pixels = np.asarray(Image.open(photo).convert("RGB"))
    hole = np.asarray(Image.open(mask).convert("L"))
    answer = inpainter.inpaint(pixels, hole, options, shift_maps=True)
    windows = [window.height for window, _ in answer.shift_maps]
    number, outcomes = inpaint_folder(inpainter, photo.parent, mask, out.parent / "all", options=options)
    words = ", ".join(outcome.status for outcome in outcomes)
    return f"{filled.plan} {filled.has_hole} {answer.image.shape} {len(windows)} {number}: {words}"


if __name__ == "__main__":
    try:
        print(fill(*map(Path, sys.argv[1:4])))
    except InputError as error:
        print(error, file=sys.stderr)
        raise SystemExit(2) from error
