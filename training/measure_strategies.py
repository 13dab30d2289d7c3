"""Measures the strategies for photos of any size against each other: which is best for which hole, and what auto loses.

    python training/measure_strategies.py saved_models/compact --images ~/photos/large --out results

Each photo is taken whole, at its own size. The holes: a box, free-form strokes and thin lines (wires, scratches),
drawn by a seed, in shares of the photo from 0.1 to 40 %. Written to --out: strategies.csv (a row a photo, hole and
strategy) and table.md: the mean PSNR of the hole and the mean texture distance for each kind of hole and share, and
what `auto` falls short of the best of the three.
"""

import argparse
import csv
import io
import itertools
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw
from tqdm import tqdm

from shiftnet_tf import image_files, images, masks, quality
from shiftnet_tf.atomic import write_atomically
from shiftnet_tf.errors import InputError, check_folder, command
from shiftnet_tf.runtime import Inpainter
from shiftnet_tf.runtime.filling import ArrayCanvas
from shiftnet_tf.strategies import STRATEGIES, plan

SHARES = (0.001, 0.003, 0.01, 0.03, 0.1, 0.2, 0.4)
COLUMNS = ("photo", "number", "hole", "share", "strategy", "plan", "hole_psnr", "texture_distance")


def parse(arguments):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="exported model folder or file")
    parser.add_argument("--images", required=True, metavar="DIR", help="folder of photos")
    parser.add_argument("--out", required=True, metavar="DIR", help="folder to write the results to")
    parser.add_argument("--holes", type=int, default=2, help="of each kind and share, a photo; default: 2")
    options = parser.parse_args(arguments)
    check_folder("--out", options.out)
    return options


def box(shape, share, rng):
    """A rectangle of that share, twice as long as high at most."""
    aspect = np.exp(rng.uniform(-np.log(2), np.log(2)) / 2)
    side = np.sqrt(share * shape[0] * shape[1])
    height, width = (min(round(length), limit - 2) for length, limit in zip((side * aspect, side / aspect), shape))
    top, left = (int(rng.integers(1, limit - length)) for length, limit in zip((height, width), shape))
    mask = np.zeros(shape, np.uint8)
    mask[top : top + height, left : left + width] = 1
    return mask


def strokes(shape, share, rng):
    """Free-form strokes as in training, drawn as large as the photo."""
    return images.resize_mask(masks.freeform_of_share(256, rng, 0.7 * share, 0.7 * share + 0.12), *shape)


def lines(shape, share, rng):
    """Straight lines from edge to edge, as thick as one part in 150 of the longer side."""
    canvas = Image.new("L", shape[::-1])
    draw, width = ImageDraw.Draw(canvas), max(2, max(shape) // 150)
    while np.mean(np.asarray(canvas) > 0) < share:
        draw.line([(0, rng.uniform(0, shape[0])), (shape[1], rng.uniform(0, shape[0]))], fill=1, width=width)
    return np.array(canvas)


# Kind of hole -> its drawing function and the shares in which it is drawn.
HOLES = {"box": (box, SHARES), "strokes": (strokes, SHARES[4:]), "lines": (lines, SHARES[2:5])}


def measure(inpainter, paths, holes):
    """A row for each photo, hole and strategy."""
    rows = []
    kinds = [(kind, share) for kind, (_, shares) in HOLES.items() for share in shares]
    for i, path in enumerate(tqdm(paths, unit="photo")):
        image = image_files.read_image(path)
        for (kind, share), seed in itertools.product(kinds, range(holes)):
            mask = HOLES[kind][0](image.shape[:2], share, np.random.default_rng([seed, i, round(1000 * share)]))
            known = {}  # what two strategies plan alike is filled once
            for strategy in STRATEGIES:
                planned = plan(mask, inpainter.image_size, strategy)
                looks = planned.windows, tuple(planned.wider.items())
                if looks not in known:
                    canvas = ArrayCanvas(image.copy())
                    inpainter.fill(canvas, mask != 0, strategy)
                    filled = canvas.image
                    known[looks] = [f(image, filled, mask) for f in (quality.psnr, quality.texture_distance)]
                rows.append((path.name, seed, kind, share, strategy, str(planned), *known[looks]))
    return rows


def table(rows):
    """Markdown: a line a kind of hole and share."""
    values = {}
    for photo, seed, kind, share, strategy, _, psnr, texture in rows:
        values.setdefault((kind, share), {}).setdefault(strategy, {})[photo, seed] = psnr, texture
    three = [name for name in STRATEGIES if name != "auto"]
    lines = [
        f"| hole | share | {' | '.join(f'{name}: dB, texture' for name in STRATEGIES)} | auto short of the best, dB |",
        f"|---|---|{'---|' * len(STRATEGIES)}---|",
    ]
    for (kind, share), found in values.items():
        means = {name: np.mean(list(photos.values()), axis=0) for name, photos in found.items()}
        cells = " | ".join(f"{means[name][0]:.2f}, {means[name][1]:.1f}" for name in STRATEGIES)
        short = max(means[name][0] for name in three) - means["auto"][0]
        lines.append(f"| {kind} | {100 * share:g} % | {cells} | {short:.2f} |")
    return "\n".join(lines) + "\n"


@command
def main(arguments=None):
    options = parse(arguments)
    paths = image_files.find_photos(options.images)
    if not paths:
        raise InputError(f"no photo (JPEG, PNG, WebP) below the folder {options.images!r}")
    rows = measure(Inpainter(options.model), paths, options.holes)
    out = Path(options.out)
    out.mkdir(parents=True, exist_ok=True)
    buffer = io.StringIO()
    csv.writer(buffer).writerows([COLUMNS, *rows])
    write_atomically(out / "strategies.csv", lambda part: part.write_text(buffer.getvalue(), encoding="utf-8"))
    text = table(rows)
    write_atomically(out / "table.md", lambda part: part.write_text(text, encoding="utf-8"))
    print(text)


if __name__ == "__main__":
    raise SystemExit(main())
