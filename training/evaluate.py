"""Measures models and classical methods on photos with holes: the table that a paper would print.

    python training/evaluate.py runs/mine models/mine --images ~/photos/test --masks center \\
        --baselines telea,patchmatch --out results

A model is a run folder or an exported model folder. Each photo is scaled so that its short side is 350 pixels (for a
size of 256) and its centre is cropped, or with --whole taken as it is. Masks: `center` (the paper's hole),
`freeform:SEED` (random strokes, one mask for each photo and each range of hole size) or a folder of masks, one a photo
in the order of their names. With --deep also the distance of EfficientNet-Lite2's features, photo by photo, and their
Frechet distance over all photos (neither LPIPS nor FID). Written to --out: results.csv (a row a photo and method),
results.json, table.md, and contact.png, the best, middle and worst photos of the first method.
"""

import argparse
import csv
import functools
import io
import json
import os
from pathlib import Path

from shiftnet_tf.system.quiet import import_tensorflow

import_tensorflow()

import numpy as np

from shiftnet_tf.errors import InputError, check, check_folder
from shiftnet_tf.evaluation import baselines, quality
from shiftnet_tf.export import graph
from shiftnet_tf.masks import sampling
from shiftnet_tf.networks import deep_distance, load_efficientnet_lite
from shiftnet_tf.photos import image_files, pixels, sheets
from shiftnet_tf.run_folder import Run
from shiftnet_tf.runtime import Inpainter, refine
from shiftnet_tf.runtime.filling import ArrayCanvas
from shiftnet_tf.runtime.strategies import plan
from shiftnet_tf.system.atomic import existing_parent, write_atomically
from shiftnet_tf.system.command import command
from shiftnet_tf.system.packages import import_optional

DEEP = {"deep_distance": False, "lite2_frechet": False}  # whether higher is better
DETAILS = ("model", "shift-map", "unguided")
MEASURES = quality.HIGHER_IS_BETTER | DEEP
RANGES = [(low / 10, (low + 1) / 10) for low in range(6)]  # of the hole's share of the photo


def parse(arguments):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", metavar="MODEL", help="run folder or exported model folder")
    parser.add_argument("--images", required=True, metavar="DIR", help="folder of photos")
    parser.add_argument("--masks", required=True, metavar="center|freeform:SEED|DIR")
    parser.add_argument("--baselines", default="", metavar="LIST", help="of telea, ns, biharmonic, patchmatch")
    parser.add_argument(
        "--detail",
        default="model",
        metavar="LIST",
        help="of model (answers as they are), shift-map (pixels copied by a shift map that the answer guides; of "
        "baselines too), unguided (a shift map without a guide); default: model",
    )
    parser.add_argument("--deep", action="store_true", help="measure deep features too; needs the extra `perceptual`")
    parser.add_argument("--out", required=True, metavar="DIR", help="folder to write the results to")
    parser.add_argument("--size", type=int, default=256, help="pixels of the centre crop; default: 256")
    parser.add_argument("--whole", action="store_true", help="take each photo whole, at its own size")
    parser.add_argument("--check", action="store_true", help="only check photos, masks and baselines")
    options = parser.parse_args(arguments)
    if not options.models and not options.baselines and not options.check:
        raise InputError("name at least one MODEL or one of --baselines")
    check_folder("--out", options.out)
    for detail in options.detail.split(","):
        check("--detail", options.detail, detail in DETAILS, f"of {', '.join(DETAILS)}")
    if options.size < 32:
        raise InputError(f"`--size` must be at least 32. Received: {options.size}")
    return options


def open_methods(options):
    """dict of name to function (image, mask) -> inpainted, models first."""
    methods = {}
    for path in map(Path, options.models):
        model = open_model(path)
        folder = next(part for part in reversed(path.resolve().parts) if part != "export")
        name = f"{folder} ({model.runtime})"
        methods[f"{name} {len(methods) + 1}" if name in methods else name] = functools.partial(model, detail="model")
    for name in filter(None, options.baselines.split(",")):
        methods[name] = baselines.baseline(name)
    return {
        name + (f", {detail}" if detail != "model" else ""): detailed(method, detail)
        for name, method in methods.items()
        for detail in options.detail.split(",")
    }


def detailed(method, detail):
    """A method whose answers get their detail from there: function (image, mask) -> inpainted."""
    if detail == "model":
        return method

    def copied(image, mask):
        canvas = ArrayCanvas(method(image, mask).copy())
        refine.refine(canvas, mask != 0, plan(mask, max(mask.shape)).holes, guided=detail == "shift-map")
        return canvas.image

    return copied


def open_model(path):
    if (path / "config.toml").is_file():
        generator = Run.open(path).load_generator()
        return Inpainter.from_backend(graph.GeneratorBackend(generator), path, generator.image_size)
    return Inpainter(path)


def prepare(path, size, whole):
    """A photo as it is measured, uint8 [H, W, 3]; None where it is too small for the crop."""
    photo = image_files.read_image(path)
    if whole:
        return photo if min(photo.shape[:2]) >= 7 else None
    return quality.center_crop(photo, size)


def masks_for(options, paths):
    """For each photo a list of functions (height, width) -> mask uint8 [height, width]."""
    kind, _, seed = options.masks.partition(":")
    if kind == "center" and not seed:
        return [[lambda height, width: pixels.resize_mask(sampling.center(256), height, width)] for _ in paths]
    if kind == "freeform" and seed.isdecimal():
        return [[_freeform(int(seed), i, *limits) for limits in RANGES] for i in range(len(paths))]
    if not Path(options.masks).is_dir():
        raise InputError(f"`--masks` must be center, freeform:SEED or a folder. Received: {options.masks!r}")
    files = image_files.find_photos(options.masks)
    if len(files) != len(paths):
        raise InputError(f"each photo needs one mask. Received: {len(paths)} photos and {len(files)} masks")
    return [[lambda height, width, file=file: sampling.from_file(file, height, width)] for file in files]


def _freeform(seed, index, least, most):
    def draw(height, width):
        rng = np.random.default_rng([seed, index, round(10 * least)])
        while True:  # a square of strokes, scaled to the photo: its share may leave the range a little
            mask = sampling.freeform_of_share(256, rng, least, most)
            mask = pixels.resize_mask(mask, height, width)
            if least <= mask.mean() < most:
                return mask

    return draw


def pair(options):
    """list of (path of a photo, its masks as `masks_for` gives them)."""
    paths = image_files.find_photos(options.images)
    if not paths:
        raise InputError(f"no photo (JPEG, PNG, WebP) below the folder {options.images!r}")
    return list(zip(paths, masks_for(options, paths)))


def check_inputs(options):
    """All that can be said before anything is measured: photos, masks, packages, the folder of the results."""
    there = existing_parent(options.out)
    if not there.is_dir() or not os.access(there, os.W_OK):
        raise InputError(f"--out must be a folder that can be written to. Received: {options.out}")
    import_optional("skimage.metrics", "scikit-image", "measuring SSIM")
    if options.deep:
        load_efficientnet_lite(2)
    usable = 0
    for path, draws in pair(options):
        image = prepare(path, options.size, options.whole)
        if image is not None:
            usable += all(draw(*image.shape[:2]).any() for draw in draws)
    if not usable:
        raise InputError(f"none of the photos below {options.images} is large enough")
    print(f"{usable} photos with their masks")


def measure(options, methods):
    """Rows of the table (dicts), pooled features for each row, and what the contact sheet shows of the first method.

    The features are those of the true and the filled photo, or None without --deep.
    """
    rows, features, shown = [], [], []
    network = load_efficientnet_lite(2) if options.deep else None
    pairs = pair(options)
    paths = [path for path, _ in pairs]
    progress = import_optional("tqdm", "tqdm", "a progress bar").tqdm(pairs, unit="photo")
    for path, draws in progress:
        image = prepare(path, options.size, options.whole)
        if image is None:
            progress.write(f"skipped: {path} is too small")
            continue
        for draw in draws:
            mask = draw(*image.shape[:2])
            answers = {name: method(image, mask) for name, method in methods.items()}
            known = {"photo": path.name, "hole": float(mask.mean())}
            new = [known | {"method": name} | quality.measure(image, answers[name], mask) for name in methods]
            if network:
                true = deep_distance.pooled_features(image, mask, network)
                for row, answer in zip(new, answers.values()):
                    row["deep_distance"] = deep_distance.deep_distance(image, answer, mask, network)
                    features.append((true, deep_distance.pooled_features(answer, mask, network)))
            shown.append((new[0]["hole_psnr"], path, draw))
            rows += new
    if not rows:
        raise InputError(f"none of the {len(paths)} photos below {options.images} is large enough")
    return rows, features or [None] * len(rows), sorted(shown, key=lambda item: item[0])


def summarize(rows, features, methods):
    """dict of range to method to the mean of each number; the range `all` first."""
    pairs = list(zip(rows, features))
    groups = {"all": pairs}
    for low, high in RANGES:
        inside = [pair for pair in pairs if low <= pair[0]["hole"] < high]
        if inside and len(inside) < len(pairs):
            groups[f"{100 * low:.0f} to {100 * high:.0f} %"] = inside
    summary = {}
    for group, members in groups.items():
        summary[group] = {}
        for method in methods:
            own = [row for row, _ in members if row["method"] == method]
            values = {name: float(np.mean([row[name] for row in own])) for name in own[0] if name in MEASURES}
            pooled = [pair for row, pair in members if row["method"] == method and pair]
            if len(pooled) > 1:
                values["lite2_frechet"] = deep_distance.frechet_distance(*map(np.stack, zip(*pooled)))
            summary[group][method] = {"photos": len(own), **values}
    return summary


def table(summary, options):
    """The summary as Markdown, the best of each column in bold."""
    lines = [f"Masks: {options.masks}. PSNR in dB, l1, l2 and texture distance in grey levels.", ""]
    for group, methods in summary.items():
        names = [name for name in next(iter(methods.values())) if name in MEASURES]
        lines += [f"**Hole size: {group}**", "", "| method | photos | " + " | ".join(names) + " |"]
        lines.append("|---" * (len(names) + 2) + "|")
        columns = {name: [_rounded(name, values[name]) for values in methods.values()] for name in names}
        best = {name: (max if MEASURES[name] else min)(column, key=float) for name, column in columns.items()}
        for i, (method, values) in enumerate(methods.items()):
            cells = [columns[name][i] for name in names]
            cells = [f"**{cell}**" if cell == best[name] else cell for cell, name in zip(cells, names)]
            lines.append(f"| {method} | {values['photos']} | " + " | ".join(cells) + " |")
        lines.append("")
    return "\n".join(lines)


def _rounded(name, value):
    """As it stands in the table: numbers around 1 with three decimals."""
    return f"{value:.3f}" if "ssim" in name or name == "deep_distance" else f"{value:.2f}"


def contact_sheet(shown, options, methods):
    """Hole, each method's answer and truth of the best two, middle two and worst two photos of the first method."""
    middle = len(shown) // 2
    picked = dict.fromkeys([len(shown) - 1, len(shown) - 2, middle, middle - 1, 1, 0])
    rows = []
    for index in picked:
        if 0 <= index < len(shown):
            _, path, draw = shown[index]
            image = prepare(path, options.size, options.whole)
            mask = draw(*image.shape[:2])
            hole = pixels.composite(np.full_like(image, 255), image, mask)
            row = {"hole": hole} | {name: method(image, mask) for name, method in methods.items()} | {"photo": image}
            row = {name: pixels.resize_image(picture, options.size, options.size) for name, picture in row.items()}
            rows.append([sheets.captioned(name, picture) for name, picture in row.items()])
    return sheets.grid(rows)


def write(out, rows, summary, text, sheet):
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot make the folder {out}: {error.strerror}") from error
    file = io.StringIO()
    writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    content = {"results.csv": file.getvalue(), "results.json": json.dumps(summary, indent=2) + "\n", "table.md": text}
    for name, value in content.items():
        write_atomically(out / name, lambda part, value=value: part.write_text(value, encoding="utf-8"))
    image_files.write_image(out / "contact.png", sheet)


@command
def main(arguments=None):
    options = parse(arguments)
    methods = open_methods(options)
    if options.check:
        check_inputs(options)
        return
    rows, features, shown = measure(options, methods)
    summary = summarize(rows, features, methods)
    text = table(summary, options)
    write(Path(options.out), rows, summary, text, contact_sheet(shown, options, methods))
    print(text)
    print(options.out)


if __name__ == "__main__":
    raise SystemExit(main())
