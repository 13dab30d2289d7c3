"""Compare the model with PatchMatch by eye, without knowing which method made which picture.

    python training/compare_blind.py draw saved_models/compact --centers photos/test \\
        --removals photos/val photos/test photos/large --out blind
    python training/compare_blind.py count blind/key.json answers.csv [answers.csv ...]

`draw` fills a hole in the centre of each photo of --centers, cropped as by `evaluate.py`, and removes the objects
listed in `removals.json` from the photos of --removals. For each hole it writes NN_hole.png, NN_A.png and NN_B.png: A
and B, in random order, are the model with default options and PatchMatch, at the photo's own resolution (small crops
are enlarged). It also writes sheet.jpg, which shows all pairs, and key.json, which the judges must not see. An answer
is a line `NUMBER,A`, `NUMBER,B` or `NUMBER,=` (no difference). `count` prints how often the model was preferred.
"""

import argparse
import csv
import itertools
import json
from collections import Counter
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from shiftnet_tf.errors import InputError, check_folder
from shiftnet_tf.evaluation import baselines, quality
from shiftnet_tf.evaluation.removals import read_removals
from shiftnet_tf.masks import sampling
from shiftnet_tf.photos import finding, image_files, pixels, sheets
from shiftnet_tf.photos.windows import Window, bounds
from shiftnet_tf.runtime import Inpainter
from shiftnet_tf.system.atomic import write_atomically
from shiftnet_tf.system.command import command

REMOVALS = Path(__file__).with_name("removals.json")
PARTS = ("centre holes", "removals")
SIDES = ("A", "B")
_SHOWN = 480  # pixels: the longer side of a crop, at least
_CELL = 150  # pixels of a picture on the sheet


def parse(arguments):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True, dest="command", metavar="draw|count")
    draw = commands.add_parser("draw", help="write the pairs, the sheet and the key")
    draw.add_argument("model", help="fill with this exported model folder or file")
    draw.add_argument("--centers", metavar="DIR", help="fill the photos in this folder in the centre (default: none)")
    draw.add_argument(
        "--removals",
        nargs="+",
        default=[],
        metavar="DIR",
        help="find the photos of removals.json in these folders (default: none)",
    )
    draw.add_argument("--out", required=True, metavar="DIR", help="write to this folder")
    draw.add_argument("--seed", type=int, default=0, help="draw the order of A and B with this seed (default: 0)")
    count = commands.add_parser("count", help="count the answers")
    count.add_argument("key", help="read the key.json that draw wrote")
    count.add_argument("answers", nargs="+", help="read these CSV files of answers, one per judge")
    return parser.parse_args(arguments)


def centers(folder):
    """(name, image, mask) of each photo: its centre crop of 256x256 and the hole of 120x120 pixels in it."""
    for path in finding.find_photos(folder):
        image = quality.center_crop(image_files.read_image(path), 256)
        if image is not None:
            yield path.name, image, pixels.resize_mask(sampling.center(256), 256, 256)


def crop_around(picture, box):
    """The part of a picture that a pair shows: the hole and half its longer side around it, small ones enlarged."""
    reach = max(box.height, box.width) // 2
    part = picture[box.grown(reach, reach, Window(0, 0, *picture.shape[:2])).slices]
    factor = -(-_SHOWN // max(part.shape[:2]))
    return pixels.resize_image(part, factor * part.shape[0], factor * part.shape[1])


def draw(model, groups, out, seed):
    """Write the pairs, the sheet and the key.

    Args:
        model: exported model folder or file.
        groups: for each of `PARTS` an iterable of (name, image, mask).
        out: folder to write to.
        seed: of the sides.
    """
    inpainter, patchmatch = Inpainter.load(model), baselines.baseline("patchmatch")
    rng, out, key, cells = np.random.default_rng(seed), Path(out), [], []
    out.mkdir(parents=True, exist_ok=True)
    for part, group in zip(PARTS, groups):
        for name, image, mask in tqdm(group, desc=part, unit="photo", disable=None):
            box, number, ours = bounds(mask), len(key) + 1, SIDES[rng.integers(2)]
            filled = inpainter(image, mask), patchmatch(image, mask)
            by_side = dict(zip(SIDES, filled if ours == "A" else filled[::-1]))
            row = {"hole": pixels.composite(np.full_like(image, 255), image, mask), **by_side}
            row = {side: crop_around(picture, box) for side, picture in row.items()}
            for side, picture in row.items():
                image_files.write_image(out / f"{number:02d}_{side}.png", picture)
            cells.append([_cell(f"{number} {side}", picture) for side, picture in row.items()])
            key.append({"number": number, "part": part, "name": name, "ours": ours})
    if not key:
        raise InputError("nothing to draw: pass --centers, --removals or both")
    rows = [list(itertools.chain(*cells[i : i + 4])) for i in range(0, len(cells), 4)]
    sheet = Image.fromarray(sheets.grid(rows))
    write_atomically(out / "sheet.jpg", lambda part: sheet.save(part, "JPEG", quality=85))
    text = json.dumps(key, indent=1) + "\n"
    write_atomically(out / "key.json", lambda part: part.write_text(text, encoding="utf-8"))
    print(f"{out}: {len(key)} pairs; do not show key.json to the judges")


def _cell(name, picture):
    """A picture on the sheet, with its name: uint8 [_CELL + 28, _CELL, 3]."""
    small = Image.fromarray(picture)
    small.thumbnail((_CELL, _CELL), Image.Resampling.LANCZOS)
    square = Image.new("RGB", (_CELL, _CELL), "white")
    square.paste(small, ((_CELL - small.width) // 2, (_CELL - small.height) // 2))
    return sheets.add_caption(name, np.array(square))


def count(key, answers):
    """How often the model was preferred, equal or not, for each part: dict of str to Counter.

    Args:
        key: list of dict, as in key.json.
        answers: list of (number, "A", "B" or "=").

    Raises:
        InputError: an answer to no pair, or another answer.
    """
    entries = {entry["number"]: entry for entry in key}
    counts = {part: Counter() for part in PARTS}
    for number, answer in answers:
        if number not in entries or answer not in (*SIDES, "="):
            raise InputError(f"an answer must be the number of a pair, and A, B or =. Received: {number},{answer}")
        entry = entries[number]
        word = "equal" if answer == "=" else "preferred" if answer == entry["ours"] else "not preferred"
        counts[entry["part"]][word] += 1
    return counts


def read_answers(path):
    with open(path, encoding="utf-8", newline="") as file:
        rows = [row for row in csv.reader(file) if row]
    try:
        return [(int(number), answer.strip()) for number, answer, *_ in rows]
    except ValueError as error:
        raise InputError(f"{path}: each line must be NUMBER,A or NUMBER,B or NUMBER,=") from error


@command
def main(arguments=None):
    options = parse(arguments)
    if options.command == "draw":
        check_folder("--out", options.out)
        things = read_removals(REMOVALS, options.removals) if options.removals else ()
        groups = (centers(options.centers) if options.centers else (), things)
        draw(options.model, groups, options.out, options.seed)
        return
    key = json.loads(Path(options.key).read_text("utf-8"))
    counts = count(key, [answer for path in options.answers for answer in read_answers(path)])
    total = sum(counts.values(), Counter())
    for part, found in {**counts, "all": total}.items():
        words = ", ".join(f"{found[word]} {word}" for word in ("preferred", "equal", "not preferred"))
        print(f"{part}: {words} of {found.total()}")


if __name__ == "__main__":
    raise SystemExit(main())
