"""Prepare photos for training: check a folder of photos, or lay out Places365 or Paris StreetView as in the paper.

    python training/prepare_data.py check ~/photos --validation ~/validation --write-list leave_out.txt
    python training/prepare_data.py places6 --images ~/places365 --out ~/places6 \\
        --filelist places365_train_standard.txt places365_val.txt
    python training/prepare_data.py paris --images ~/paris_streetview --out ~/paris

check decodes every photo, changes nothing, and prints one line for each photo that is broken, too small, or a
near-duplicate of another photo or of a validation photo. Exit code: 0 if there are none, 1 if there are some, 2 for bad
input. shiftnet_tf/training/near_duplicates.py explains how photos are compared.

places6 takes the standard file lists of Places365 (lines `/b/butte/00000001.jpg 71` for training, `NAME.jpg 71` for
validation, whose labels the training list defines) and puts the images of the six scenes into OUT/train, OUT/val and
OUT/test, with one folder per scene. Places365 splits two of the scenes: `field` is field/cultivated and field/wild,
`synagogue` is synagogue/outdoor. The published list of test images has no labels; a list with labels is accepted.

paris puts the test photos of Paris StreetView into OUT/test, evenly spaced training photos into OUT/val (the paper
names no validation photos, and the weights must not be chosen by test photos), and the rest into OUT/train.

Both make hard links where the file system supports them, and copies elsewhere.
"""

import argparse
import os
import re
import shlex
import shutil
import statistics
from collections import Counter
from pathlib import Path

from tqdm import tqdm

from shiftnet_tf.errors import InputError, check
from shiftnet_tf.photos.finding import PHOTO_SUFFIXES, find_files, find_photos
from shiftnet_tf.system.atomic import write_atomically
from shiftnet_tf.system.command import command
from shiftnet_tf.training import near_duplicates

SCENES = ("butte", "canyon", "field", "synagogue", "tundra", "valley")
SPLITS = ("train", "val", "test")


def parse(arguments):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    look = commands.add_parser("check", help="find photos that are broken or too small, and near-duplicates")
    look.add_argument("folders", nargs="+", metavar="DIR", help="read the training photos in these folders")
    look.add_argument(
        "--validation",
        nargs="+",
        action="extend",
        default=[],
        metavar="DIR",
        help="also find near-duplicates of the photos in these folders (default: none)",
    )
    look.add_argument(
        "--image-size",
        type=int,
        default=256,
        metavar="N",
        help="require a short side of at least N pixels (default: 256)",
    )
    look.add_argument(
        "--threshold",
        type=float,
        default=near_duplicates.THRESHOLD,
        metavar="S",
        help=f"report pairs of at least this similarity, from 0 to 1 (default: {near_duplicates.THRESHOLD})",
    )
    look.add_argument(
        "--write-list",
        metavar="FILE",
        help="write the names of the photos to leave out, for data.held_out in a config (default: no list)",
    )
    look.set_defaults(run=check_photos)
    places6 = commands.add_parser("places6", help="pick the paper's six scenes out of Places365")
    places6.add_argument("--images", required=True, metavar="DIR", help="read the unpacked images in this folder")
    places6.add_argument(
        "--filelist", required=True, nargs="+", metavar="FILE", help="read these file lists of Places365"
    )
    places6.add_argument("--out", required=True, metavar="DIR", help="create train, val and test in this folder")
    places6.add_argument(
        "--scenes",
        nargs="+",
        default=list(SCENES),
        metavar="SCENE",
        help="pick these scenes (default: the paper's six)",
    )
    places6.set_defaults(run=lay_out_places6)
    paris = commands.add_parser("paris", help="lay out Paris StreetView as in the paper")
    paris.add_argument("--images", required=True, metavar="DIR", help="read the unpacked set in this folder")
    paris.add_argument("--out", required=True, metavar="DIR", help="create train, val and test in this folder")
    paris.add_argument(
        "--train",
        nargs="+",
        default=["paris_train_original"],
        metavar="DIR",
        help="use these folders of training photos, relative to --images (default: paris_train_original)",
    )
    paris.add_argument(
        "--test",
        nargs="+",
        default=["paris_eval_gt"],
        metavar="DIR",
        help="use these folders of test photos, relative to --images (default: paris_eval_gt)",
    )
    paris.add_argument(
        "--val-count", type=int, default=100, metavar="N", help="put N training photos into OUT/val (default: 100)"
    )
    paris.set_defaults(run=lay_out_paris)
    return parser.parse_args(arguments)


def read_list(path):
    """list of (name without leading slash, label as text or "") of a file list."""
    try:
        lines = Path(path).read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise InputError(f"the file list is not a UTF-8 text file: {path}") from error
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
    return Path(name).suffix.lower() in PHOTO_SUFFIXES


def scene_of(name):
    """`b/butte/00000001.jpg` and `b/butte` -> `butte`; "" for a bare file name."""
    parts = name.split("/")
    return "/".join(parts[1:-1] if is_image(name) else parts[1:])


def split_of(path):
    splits = [split for split in SPLITS if split in Path(path).name.lower()]
    if len(splits) != 1:
        raise InputError(f"the name of a file list must contain one of {', '.join(SPLITS)}. Received: {path}")
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
                continue  # all wanted scenes have a label, so this is another scene
            if scene is None:
                lack = f"no list explains its label {label}" if label else "it has no label"
                raise InputError(f"cannot find the scene of {name} in {path}: {lack}")
            if wanted(scene, scenes):
                picked.append((split, scene, name))
    absent = [one for one in scenes if not any(wanted(scene, [one]) for _, scene, _ in picked)]
    if absent:
        raise InputError(f"no image of the scene {absent[0]!r} in {', '.join(map(str, filelists))}")
    return picked


def place(source, target):
    """Make a hard link, which takes no space; a copy where the file system has no links."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.exists():
        return
    source = source.resolve()  # a hard link to a symbolic link would be a symbolic link
    try:
        os.link(source, target)
    except OSError:
        write_atomically(target, lambda part: shutil.copyfile(source, part))


def print_training(config, out):
    photos = [f"data.photos={out.absolute() / 'train'}", f"data.validation_photos={out.absolute() / 'val'}"]
    settings = " ".join(f"--set {shlex.quote(setting)}" for setting in photos)
    print(f"train with: python training/train.py training/configs/{config}.toml {settings} --run-dir runs/{config}")


def lay_out_places6(options):
    images, out = Path(options.images), Path(options.out)
    if not images.is_dir():
        raise InputError(f"--images must be a folder. Received: {images}")
    picked = pick(options.filelist, options.scenes)
    roots = [images, *sorted(path for path in images.iterdir() if path.is_dir())]  # such as data_256, val_256
    placed, absent = Counter(), []
    for split, scene, name in tqdm(picked, unit="image"):
        source = next((root / name for root in roots if (root / name).is_file()), None)
        if source is None:
            absent.append(name)
            continue
        place(source, out / split / scene.replace("/", "_") / Path(name).name)
        placed[split, scene] += 1
    if not placed:
        raise InputError(f"none of the {len(picked)} listed images is in {images}; the first: {absent[0]}")
    for (split, scene), count in sorted(placed.items()):
        print(f"{out / split}: {count} of {scene}")
    if absent:
        print(f"{len(absent)} of the {len(picked)} listed images are not in {images}; the first: {absent[0]}")
    if all((out / split).is_dir() for split in ("train", "val")):
        print_training("paper_places6", out)


def lay_out_paris(options):
    images, out = Path(options.images), Path(options.out)
    if not images.is_dir():
        raise InputError(f"--images must be a folder. Received: {images}")
    folders = {split: [images / name for name in getattr(options, split)] for split in ("train", "test")}
    for split, paths in folders.items():
        absent = [path for path in paths if not path.is_dir()]
        if absent:
            names = ", ".join(sorted(path.name for path in images.iterdir() if path.is_dir())) or "no folder"
            raise InputError(f"no such folder: {absent[0]}; {images} has {names}: pass the right one as --{split}")
    listed = near_duplicates.list_photos([path for paths in folders.values() for path in paths])
    found = {split: [(root, path) for root in paths for path in listed[root]] for split, paths in folders.items()}
    count, total = options.val_count, len(found["train"])
    check("--val-count", count, 1 <= count < total, f"at least 1 and below the number of training photos, {total}")
    val = {i * total // count for i in range(count)}
    planned = {}
    for split, photos in found.items():
        for i, (root, path) in enumerate(photos):
            target = out / ("val" if split == "train" and i in val else split) / path.relative_to(root)
            if target in planned:
                raise InputError(f"{planned[target]} and {path} would both become {target}: rename one of them")
            planned[target] = path
    old = [path for split in SPLITS for path in find_photos(out / split) if path not in planned]
    if old:
        raise InputError(f"{out} has photos of another layout, such as {old[0]}: choose an empty --out")
    for target, path in tqdm(planned.items(), unit="photo"):
        place(path, target)
    placed = Counter(target.relative_to(out).parts[0] for target in planned)
    print(f"found {total} training photos (the paper: 14900) and {placed['test']} test photos (the paper: 100)")
    for split in SPLITS:
        print(f"{out / split}: {placed[split]}")
    print_training("paper_paris", out)


def check_photos(options):
    size, threshold, out = options.image_size, options.threshold, options.write_list
    check("--image-size", size, size >= 1, "at least 1")
    check("--threshold", threshold, 0 < threshold <= 1, "above 0 and at most 1")
    if out is not None:
        check(
            "--write-list", out, Path(out).parent.is_dir() and not Path(out).is_dir(), "a file in a folder that exists"
        )
    listed = near_duplicates.list_photos([*options.folders, *options.validation])
    validation = {Path(name): listed.pop(Path(name)) for name in options.validation}
    findings, sides = near_duplicates.survey(listed, validation, size, threshold)
    for finding in findings:
        print(f"{finding.kind}: {finding.text}")
    kinds = Counter(finding.kind for finding in findings)
    mine = [finding for finding in findings if finding.folder in listed]
    photos = sum(map(len, listed.values()))
    others = sum(1 for folder in listed for _ in find_files(folder)) - photos
    print(f"photos: {photos}, usable at {size}x{size}: {photos - len(mine)}; other files: {others}")
    print(", ".join(f"{kind}: {kinds[kind]}" for kind in near_duplicates.KINDS))
    if sides:
        print(f"short side: {min(sides)} to {max(sides)} pixels, median {statistics.median(sides):g}")
    if out is not None:
        count = near_duplicates.write_list(out, mine)
        print(f"{out}: {count} names" + ("" if count else ", train without data.held_out"))
    return 1 if findings else 0


@command
def main(arguments=None):
    options = parse(arguments)
    return options.run(options)


if __name__ == "__main__":
    raise SystemExit(main())
