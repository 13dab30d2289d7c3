"""The photos of the paper's experiments, from the published sets: six scenes of Places365, and Paris StreetView."""

import os
import re
import shlex
import shutil
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

from shiftnet_tf.errors import InputError, check
from shiftnet_tf.photos.finding import PHOTO_SUFFIXES, find_photos
from shiftnet_tf.system.atomic import write_atomically
from shiftnet_tf.training import near_duplicates

SCENES = ("butte", "canyon", "field", "synagogue", "tundra", "valley")
SPLITS = ("train", "val", "test")


def lay_out_places6(
    images: str | Path, out: str | Path, filelists: Sequence[str], scenes: Sequence[str] = SCENES
) -> None:
    """Lay out scenes of Places365 as OUT/train, OUT/val and OUT/test, with a folder for each; print what was placed.

    Args:
        images: the unpacked archives.
        out: the folder to fill; files that are there stay.
        filelists: the standard lists of the set, whose names contain train, val or test.
        scenes: names; one such as `field` includes field/wild and field/cultivated.

    Raises:
        InputError: a list cannot be read, has none of the scenes, or none of the images is there.
    """
    images, out = Path(images), Path(out)
    if not images.is_dir():
        raise InputError(f"--images must be a folder. Received: {images}")
    picked = _pick(filelists, scenes)
    roots = [images, *sorted(path for path in images.iterdir() if path.is_dir())]  # such as data_256, val_256
    placed: Counter[tuple[str, str]] = Counter()
    absent: list[str] = []
    for split, scene, name in tqdm(picked, unit="image"):
        source = next((root / name for root in roots if (root / name).is_file()), None)
        if source is None:
            absent.append(name)
            continue
        _place(source, out / split / scene.replace("/", "_") / Path(name).name)
        placed[split, scene] += 1
    if not placed:
        raise InputError(f"none of the {len(picked)} listed images is in {images}; the first: {absent[0]}")
    for (split, scene), count in sorted(placed.items()):
        print(f"{out / split}: {count} of {scene}")
    if absent:
        print(f"{len(absent)} of the {len(picked)} listed images are not in {images}; the first: {absent[0]}")
    if all((out / split).is_dir() for split in ("train", "val")):
        _print_training("paper_places6", out)


def lay_out_paris(
    images: str | Path, out: str | Path, train: Sequence[str], test: Sequence[str], val_count: int
) -> None:
    """Lay out Paris StreetView as OUT/train, OUT/val and OUT/test; print what was placed.

    Args:
        images: the unpacked set.
        out: the folder to fill.
        train, test: folders of training and of test photos, relative to `images`.
        val_count: number of training photos, evenly spaced, that go to OUT/val.

    Raises:
        InputError: a folder is absent, two photos have one name, `out` has photos of another layout, or too many photos
            are wanted for OUT/val.
    """
    images, out = Path(images), Path(out)
    if not images.is_dir():
        raise InputError(f"--images must be a folder. Received: {images}")
    folders = {split: [images / name for name in names] for split, names in (("train", train), ("test", test))}
    for split, paths in folders.items():
        absent = [path for path in paths if not path.is_dir()]
        if absent:
            names = ", ".join(sorted(path.name for path in images.iterdir() if path.is_dir())) or "no folder"
            raise InputError(f"no such folder: {absent[0]}; {images} has {names}: pass the right one as --{split}")
    listed = near_duplicates.list_photos([path for paths in folders.values() for path in paths])
    found = {split: [(root, path) for root in paths for path in listed[root]] for split, paths in folders.items()}
    count, total = val_count, len(found["train"])
    check("--val-count", count, 1 <= count < total, f"at least 1 and below the number of training photos, {total}")
    val = {i * total // count for i in range(count)}
    planned: dict[Path, Path] = {}
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
        _place(path, target)
    placed = Counter(target.relative_to(out).parts[0] for target in planned)
    print(f"found {total} training photos (the paper: 14900) and {placed['test']} test photos (the paper: 100)")
    for split in SPLITS:
        print(f"{out / split}: {placed[split]}")
    _print_training("paper_paris", out)


def _read_list(path: str) -> list[tuple[str, str]]:
    """Return (name without leading slash, label as text or "") of each line of a file list."""
    try:
        lines = Path(path).read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise InputError(f"the file list is not a UTF-8 text file: {path}") from error
    rows = []
    for number, line in enumerate(lines, start=1):
        name, label = [*re.split(r"\s+(?=\d+$)", line.strip()), ""][:2]
        if label == "" and re.search(r"\s", name):
            raise InputError(f"line {number} of {path} must be a path and a number. Received: {line[:80]!r}")
        if name:
            rows.append((name.lstrip("/"), label))
    if not rows:
        raise InputError(f"the file list is empty: {path}")
    return rows


def _is_image(name: str) -> bool:
    return Path(name).suffix.lower() in PHOTO_SUFFIXES


def _scene_of(name: str) -> str:
    """Return the scene of a path: `b/butte/00000001.jpg` and `b/butte` -> `butte`; "" for a bare file name."""
    parts = name.split("/")
    return "/".join(parts[1:-1] if _is_image(name) else parts[1:])


def _split_of(path: str) -> str:
    splits = [split for split in SPLITS if split in Path(path).name.lower()]
    if len(splits) != 1:
        raise InputError(f"the name of a file list must contain one of {', '.join(SPLITS)}. Received: {path}")
    return splits[0]


def _is_wanted(scene: str, scenes: Sequence[str]) -> bool:
    """Return whether a scene such as `field/wild` is one of these, such as `field`."""
    return any(scene == one or scene.startswith(f"{one}/") for one in scenes)


def _pick(filelists: Sequence[str], scenes: Sequence[str]) -> list[tuple[str, str, str]]:
    """Return (split, scene, name) of the images of these scenes."""
    lists = {path: _read_list(path) for path in filelists}
    labels = {label: _scene_of(name) for rows in lists.values() for name, label in rows if label and _scene_of(name)}
    explained = all(any(_is_wanted(scene, [one]) for scene in labels.values()) for one in scenes)
    picked = []
    for path, rows in lists.items():
        images = [(name, label) for name, label in rows if _is_image(name)]
        if not images:
            continue  # the list of categories
        split = _split_of(path)
        for name, label in images:
            scene = _scene_of(name) or labels.get(label)
            if scene is None and explained:
                continue  # all wanted scenes have a label, so this is another scene
            if scene is None:
                lack = f"no list explains its label {label}" if label else "it has no label"
                raise InputError(f"cannot find the scene of {name} in {path}: {lack}")
            if _is_wanted(scene, scenes):
                picked.append((split, scene, name))
    absent = [one for one in scenes if not any(_is_wanted(scene, [one]) for _, scene, _ in picked)]
    if absent:
        raise InputError(f"no image of the scene {absent[0]!r} in {', '.join(map(str, filelists))}")
    return picked


def _place(source: Path, target: Path) -> None:
    """Make a hard link, which takes no space; a copy where the file system has no links."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.exists():
        return
    source = source.resolve()  # a hard link to a symbolic link would be a symbolic link
    try:
        os.link(source, target)
    except OSError:
        write_atomically(target, lambda part: shutil.copyfile(source, part))


def _print_training(config: str, out: Path) -> None:
    """Print the command that trains on the sets in a folder."""
    photos = [f"data.photos={out.absolute() / 'train'}", f"data.validation_photos={out.absolute() / 'val'}"]
    settings = " ".join(f"--set {shlex.quote(setting)}" for setting in photos)
    print(f"train with: python training/train.py training/configs/{config}.toml {settings} --run-dir runs/{config}")
