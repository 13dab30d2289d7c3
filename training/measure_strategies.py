"""Compare the choices of `--strategy` or of `--detail` on photos at their own size.

    python training/measure_strategies.py saved_models/compact --images ~/photos/large --out results
    python training/measure_strategies.py saved_models/compact --compare detail --images ~/photos/large --out results

The holes are boxes, outlines of objects (`removals.json`), free-form strokes and thin lines (wires, scratches), drawn
with a fixed seed; they cover 0.1 to 40 % of the photo. The script writes to --out: rows.csv, with one row per photo,
hole and method, and table.md, with the means for each kind and share of hole: PSNR of the hole, texture distance,
seconds and, with `--compare detail`, deep distance (needs the extra `perceptual`). `--compare detail` also measures the
shift map without a guide, and PatchMatch.
"""

import argparse
import csv
import functools
import io
import itertools
import json
import time
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw
from tqdm import tqdm

from shiftnet_tf import FillOptions
from shiftnet_tf.errors import InputError, check_folder
from shiftnet_tf.evaluation import baselines, quality
from shiftnet_tf.evaluation.methods import take_detail
from shiftnet_tf.masks import sampling
from shiftnet_tf.masks.shapes import draw_shapes
from shiftnet_tf.networks.deep_distance import deep_distance
from shiftnet_tf.photos import finding, image_files, pixels
from shiftnet_tf.runtime import Inpainter
from shiftnet_tf.runtime.strategies import STRATEGIES, plan
from shiftnet_tf.system.atomic import write_atomically
from shiftnet_tf.system.command import command

SHARES = (0.001, 0.003, 0.01, 0.03, 0.1, 0.2, 0.4)
COLUMNS = ("photo", "number", "hole", "share", "method", "plan", "hole_psnr", "texture_distance")
DETAIL_COLUMNS = (*COLUMNS, "deep_distance", "seconds")


def parse(arguments):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="measure this exported model folder or file")
    parser.add_argument("--images", required=True, metavar="DIR", help="read the photos in this folder")
    parser.add_argument("--out", required=True, metavar="DIR", help="write the results to this folder")
    parser.add_argument(
        "--compare",
        choices=("strategies", "detail"),
        default="strategies",
        help="compare these choices (default: strategies)",
    )
    parser.add_argument(
        "--holes", type=int, default=2, metavar="N", help="draw N holes of each kind and share per photo (default: 2)"
    )
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
    return pixels.resize_mask(sampling.freeform_of_share(256, rng, 0.7 * share, 0.7 * share + 0.12), *shape)


def lines(shape, share, rng):
    """Straight lines from edge to edge, as thick as one part in 150 of the longer side."""
    canvas = Image.new("L", shape[::-1])
    draw, width = ImageDraw.Draw(canvas), max(2, max(shape) // 150)
    while np.mean(np.asarray(canvas) > 0) < share:
        draw.line([(0, rng.uniform(0, shape[0])), (shape[1], rng.uniform(0, shape[0]))], fill=1, width=width)
    return np.array(canvas)


def outline(shape, share, rng):
    """The outline of a thing from `removals.json`, mirrored or not, with its bounding box inside the photo."""
    things = json.loads(Path(__file__).with_name("removals.json").read_text("utf-8"))
    while True:
        thing = things[rng.integers(len(things))]
        points = np.array(thing["points"]) * thing["aspect"]  # columns, rows
        points = (points - points.min(0)) * (rng.choice([-1, 1]), 1)
        area = abs(np.sum(points[:, 0] * np.roll(points[:, 1], 1) - points[:, 1] * np.roll(points[:, 0], 1))) / 2
        points *= np.sqrt(share * shape[0] * shape[1] / area)
        room = shape[::-1] - np.ptp(points, axis=0) - 2
        if (room >= 0).all():
            break
    corners = points - points.min(0) + 1 + rng.uniform(0, room)
    return draw_shapes({"polygons": [corners.tolist()]}, shape).astype(np.uint8)


# Kind of hole -> its drawing function and the shares in which it is drawn.
HOLES = {
    "box": (box, SHARES),
    "outline": (outline, SHARES[1:6]),
    "strokes": (strokes, SHARES[4:]),
    "lines": (lines, SHARES[2:5]),
}


def holes_of(paths, holes):
    """For each photo and hole (path, image, kind, share, seed, mask uint8 [H, W])."""
    kinds = [(kind, share) for kind, (_, shares) in HOLES.items() for share in shares]
    for i, path in enumerate(tqdm(paths, unit="photo")):
        image = image_files.read_image(path)
        for (kind, share), seed in itertools.product(kinds, range(holes)):
            mask = HOLES[kind][0](image.shape[:2], share, np.random.default_rng([seed, i, round(1000 * share)]))
            yield path, image, kind, share, seed, mask


def measure_strategies(inpainter, paths, holes):
    """A row for each photo, hole and strategy."""
    rows = []
    for path, image, kind, share, seed, mask in holes_of(paths, holes):
        known = {}  # what two strategies plan alike is filled once
        for strategy in STRATEGIES:
            planned = plan(mask, inpainter.model.image_size, strategy)
            looks = planned.windows, tuple(planned.wider.items())
            if looks not in known:
                filled = inpainter(image, mask, FillOptions(strategy=strategy, detail="model"))
                known[looks] = [f(image, filled, mask) for f in (quality.psnr, quality.texture_distance)]
            rows.append((path.name, seed, kind, share, strategy, str(planned), *known[looks]))
    return rows


def measure_detail(inpainter, paths, holes):
    """A row for each photo, hole and way to its detail."""
    model, shift_map, auto = (
        functools.partial(inpainter, options=FillOptions(detail=detail)) for detail in ("model", "shift-map", "auto")
    )
    ways = {"model": model, "shift map": shift_map, "no guide": take_detail(model, "unguided"), "auto": auto}
    ways["patchmatch"] = baselines.baseline("patchmatch")
    rows = []
    for path, image, kind, share, seed, mask in holes_of(paths, holes):
        for name, way in ways.items():
            started = time.perf_counter()
            filled = way(image, mask)
            seconds = time.perf_counter() - started
            values = [f(image, filled, mask) for f in (quality.psnr, quality.texture_distance, deep_distance)]
            rows.append((path.name, seed, kind, share, name, "", *values, seconds))
    return rows


def table(rows):
    """Markdown: a line for each kind and share of hole, with the means of each method."""
    values = {}
    for _, _, kind, share, method, _, *numbers in rows:
        values.setdefault((kind, share), {}).setdefault(method, []).append(numbers)
    methods = list(next(iter(values.values())))
    formats = (".2f", ".1f", ".3f", ".2f")[: len(rows[0]) - 6]
    units = ", ".join(("dB", "texture", "deep", "s")[: len(formats)])
    lines = [f"| hole | share | {' | '.join(f'{method}: {units}' for method in methods)} |"]
    lines.append("|---" * (len(methods) + 2) + "|")
    for (kind, share), found in values.items():
        means = (np.mean(found[method], axis=0) for method in methods)
        cells = (", ".join(format(value, form) for value, form in zip(mean, formats)) for mean in means)
        lines.append(f"| {kind} | {100 * share:g} % | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


@command
def main(arguments=None):
    options = parse(arguments)
    paths = finding.find_photos(options.images)
    if not paths:
        raise InputError(f"no photos (JPEG, PNG, WebP) in {options.images!r}")
    measure, columns = {
        "strategies": (measure_strategies, COLUMNS),
        "detail": (measure_detail, DETAIL_COLUMNS),
    }[options.compare]
    rows = measure(Inpainter.load(options.model), paths, options.holes)
    out = Path(options.out)
    out.mkdir(parents=True, exist_ok=True)
    buffer = io.StringIO()
    csv.writer(buffer).writerows([columns, *rows])
    write_atomically(out / "rows.csv", lambda part: part.write_text(buffer.getvalue(), encoding="utf-8"))
    text = table(rows)
    write_atomically(out / "table.md", lambda part: part.write_text(text, encoding="utf-8"))
    print(text)


if __name__ == "__main__":
    raise SystemExit(main())
