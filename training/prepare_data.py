"""Gets photos ready for training: picks the paper's scenes out of Places365, or says what a folder holds.

    python training/prepare_data.py places6 --images ~/places365 --out ~/places6 \\
        --filelist places365_train_standard.txt places365_val.txt
    python training/prepare_data.py check ~/places6/train

places6 takes the standard file lists of Places365 (lines `/b/butte/00000001.jpg 71` for training; `NAME.jpg 71` for
validation, whose labels it learns from the other lists) and puts the images of the six scenes into OUT/train, OUT/val
and OUT/test, a folder a scene, as hard links where the file system has them, else as copies. Places365 divides two of
the scenes: `field` is both field/cultivated and field/wild, `synagogue` is synagogue/outdoor. The published list of
test images has no labels, so that the paper's test images cannot be told; a list with labels is taken.

check reads every photo and says how many there are, how large, and which are broken or too small; its exit code is 1
where one is broken or none is large enough.
"""

import argparse
import os
import re
import shutil
import statistics
from collections import Counter
from pathlib import Path

from shiftnet_tf import image_files
from shiftnet_tf.atomic import write_atomically
from shiftnet_tf.errors import InputError, check, command, import_optional

SCENES = ("butte", "canyon", "field", "synagogue", "tundra", "valley")
SPLITS = ("train", "val", "test")


def parse(arguments):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    places6 = commands.add_parser("places6", help="pick the paper's six scenes out of Places365")
    places6.add_argument("--images", required=True, metavar="DIR", help="folder of the unpacked images")
    places6.add_argument("--filelist", required=True, nargs="+", metavar="FILE", help="lists of Places365")
    places6.add_argument("--out", required=True, metavar="DIR", help="folder to make train, val and test in")
    places6.add_argument("--scenes", nargs="+", default=list(SCENES), metavar="SCENE", help="default: the paper's six")
    places6.set_defaults(run=run_places6)
    look = commands.add_parser("check", help="say what a folder of photos holds")
    look.add_argument("folder", metavar="DIR")
    look.add_argument("--image-size", type=int, default=256, help="pixels of a training sample; default: 256")
    look.set_defaults(run=run_check)
    return parser.parse_args(arguments)


def progress(items, unit):
    return import_optional("tqdm", "tqdm", "a progress bar").tqdm(items, unit=unit)


def read_list(path):
    """list of (name without leading slash, label as text, "" where there is none) of a file list."""
    try:
        lines = Path(path).read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise InputError(f"the file list is no text: {path}") from error
    rows = []
    for number, line in enumerate(lines, start=1):
        name, label = re.fullmatch(r"(.*?)(?:\s+(\d+))?", line.strip()).groups(default="")
        if label == "" and re.search(r"\s", name):
            raise InputError(f"line {number} of {path} must be a path and a number. Received: {line[:80]!r}")
        if name:
            rows.append((name.lstrip("/"), label))
    if not rows:
        raise InputError(f"the file list is empty: {path}")
    return rows


def is_image(name):
    return Path(name).suffix.lower() in image_files.PHOTO_SUFFIXES


def scene_of(name):
    """`b/butte/00000001.jpg` and `b/butte` -> `butte`; "" for a bare file name."""
    parts = name.split("/")
    return "/".join(parts[1:-1] if is_image(name) else parts[1:])


def split_of(path):
    splits = [split for split in SPLITS if split in Path(path).name.lower()]
    if len(splits) != 1:
        raise InputError(f"the name of a file list must tell its split, one of {', '.join(SPLITS)}. Received: {path}")
    return splits[0]


def wanted(scene, scenes):
    """Whether a scene such as `field/wild` is one of these, such as `field`."""
    return any(scene == one or scene.startswith(f"{one}/") for one in scenes)


def pick(filelists, scenes):
    """list of (split, scene, name) of the images of these scenes."""
    lists = {path: read_list(path) for path in filelists}
    labels = {label: scene_of(name) for rows in lists.values() for name, label in rows if label and scene_of(name)}
    explained = all(any(wanted(scene, [one]) for scene in labels.values()) for one in scenes)
    picked = []
    for path, rows in lists.items():
        images = [(name, label) for name, label in rows if is_image(name)]
        if not images:
            continue  # the list of categories
        split = split_of(path)
        for name, label in images:
            scene = scene_of(name) or labels.get(label)
            if scene is None and explained:
                continue  # of a scene that is not wanted
            if scene is None:
                lack = f"label {label}, which no list explains" if label else "no label"
                raise InputError(f"the scene of {name} in {path} cannot be told: it has {lack}")
            if wanted(scene, scenes):
                picked.append((split, scene, name))
    absent = [one for one in scenes if not any(wanted(scene, [one]) for _, scene, _ in picked)]
    if absent:
        raise InputError(f"no image of the scene {absent[0]!r} in {', '.join(map(str, filelists))}")
    return picked


def place(source, target):
    """A hard link, which takes no room; a copy where the file system has none."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.exists():
        return
    source = source.resolve()  # a hard link to a symbolic link would be one too
    try:
        os.link(source, target)
    except OSError:
        write_atomically(target, lambda part: shutil.copyfile(source, part))


def run_places6(options):
    images, out = Path(options.images), Path(options.out)
    if not images.is_dir():
        raise InputError(f"--images must be a folder. Received: {images}")
    picked = pick(options.filelist, options.scenes)
    roots = [images, *sorted(path for path in images.iterdir() if path.is_dir())]  # such as data_256, val_256
    placed, absent = Counter(), []
    for split, scene, name in progress(picked, "image"):
        source = next((root / name for root in roots if (root / name).is_file()), None)
        if source is None:
            absent.append(name)
            continue
        place(source, out / split / scene.replace("/", "_") / Path(name).name)
        placed[split, scene] += 1
    if not placed:
        raise InputError(f"none of the {len(picked)} listed images is below {images}; the first: {absent[0]}")
    for (split, scene), count in sorted(placed.items()):
        print(f"{out / split}: {count} of {scene}")
    if absent:
        print(f"{len(absent)} of the {len(picked)} listed images are not below {images}; the first: {absent[0]}")


def run_check(options):
    folder = Path(options.folder)
    check("--image-size", options.image_size, options.image_size >= 1, "at least 1")
    if not folder.is_dir():
        raise InputError(f"no such folder: {folder}")
    photos = image_files.find_photos(folder)
    if not photos:
        raise InputError(f"no photo (JPEG, PNG, WebP) below {folder}")
    sides, broken, small = [], [], []
    for path in progress(photos, "photo"):
        try:
            sides.append(min(image_files.read_image(path).shape[:2]))
        except InputError as error:
            broken.append(str(error))
            continue
        if sides[-1] < options.image_size:
            small.append(f"{path}, {sides[-1]} pixels")
    others = sum(path.is_file() for path in folder.rglob("*")) - len(photos)
    for kind, lines in (("broken", broken), ("too small", small)):
        for line in lines:
            print(f"{kind}: {line}")
    usable = len(sides) - len(small)
    print(f"photos: {len(photos)}, of which {usable} can be trained on at {options.image_size}x{options.image_size}")
    print(f"broken: {len(broken)}, too small: {len(small)}, other files: {others}")
    if sides:
        print(f"short side: from {min(sides)} to {max(sides)} pixels, median {statistics.median(sides):g}")
    return 1 if broken or not usable else 0


@command
def main(arguments=None):
    options = parse(arguments)
    return options.run(options)


if __name__ == "__main__":
    raise SystemExit(main())
