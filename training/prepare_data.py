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
import statistics
from collections import Counter
from pathlib import Path

from shiftnet_tf.errors import check
from shiftnet_tf.photos.finding import find_files
from shiftnet_tf.system.command import command
from shiftnet_tf.training import near_duplicates, paper_sets


def parse(arguments):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    add_check(commands.add_parser("check", help="find photos that are broken or too small, and near-duplicates"))
    add_places6(commands.add_parser("places6", help="pick the paper's six scenes out of Places365"))
    add_paris(commands.add_parser("paris", help="lay out Paris StreetView as in the paper"))
    return parser.parse_args(arguments)


def add_check(parser):
    parser.add_argument("folders", nargs="+", metavar="DIR", help="read the training photos in these folders")
    parser.add_argument(
        "--validation",
        nargs="+",
        action="extend",
        default=[],
        metavar="DIR",
        help="also find near-duplicates of the photos in these folders (default: none)",
    )
    parser.add_argument(
        "--image-size",
        type=int,
        default=256,
        metavar="N",
        help="require a short side of at least N pixels (default: 256)",
    )
    parser.add_argument(
        "--threshold",
        type=float,
        default=near_duplicates.THRESHOLD,
        metavar="S",
        help=f"report pairs of at least this similarity, from 0 to 1 (default: {near_duplicates.THRESHOLD})",
    )
    parser.add_argument(
        "--write-list",
        metavar="FILE",
        help="write the names of the photos to leave out, for data.held_out in a config (default: no list)",
    )
    parser.set_defaults(run=check_photos)


def add_places6(parser):
    parser.add_argument("--images", required=True, metavar="DIR", help="read the unpacked images in this folder")
    parser.add_argument(
        "--filelist", required=True, nargs="+", metavar="FILE", help="read these file lists of Places365"
    )
    parser.add_argument("--out", required=True, metavar="DIR", help="create train, val and test in this folder")
    parser.add_argument(
        "--scenes",
        nargs="+",
        default=list(paper_sets.SCENES),
        metavar="SCENE",
        help="pick these scenes (default: the paper's six)",
    )
    parser.set_defaults(run=lambda x: paper_sets.lay_out_places6(x.images, x.out, x.filelist, x.scenes))


def add_paris(parser):
    parser.add_argument("--images", required=True, metavar="DIR", help="read the unpacked set in this folder")
    parser.add_argument("--out", required=True, metavar="DIR", help="create train, val and test in this folder")
    parser.add_argument(
        "--train",
        nargs="+",
        default=["paris_train_original"],
        metavar="DIR",
        help="use these folders of training photos, relative to --images (default: paris_train_original)",
    )
    parser.add_argument(
        "--test",
        nargs="+",
        default=["paris_eval_gt"],
        metavar="DIR",
        help="use these folders of test photos, relative to --images (default: paris_eval_gt)",
    )
    parser.add_argument(
        "--val-count", type=int, default=100, metavar="N", help="put N training photos into OUT/val (default: 100)"
    )
    parser.set_defaults(run=lambda x: paper_sets.lay_out_paris(x.images, x.out, x.train, x.test, x.val_count))


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
