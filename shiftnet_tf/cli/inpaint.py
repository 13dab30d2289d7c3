"""`shiftnet inpaint`: the command line of a fill, of one photo or of many."""

import argparse
import dataclasses
from typing import Any, Literal, get_args, get_origin, get_type_hints

from shiftnet_tf.cli import filling
from shiftnet_tf.cli.parsing import Subcommand
from shiftnet_tf.cli.running import MODEL_HELP, add_running
from shiftnet_tf.runtime import FillOptions

_DESCRIPTION = """
Fill the holes of photos. Known pixels stay as they are, and so do metadata, colour profile, alpha and 16-bit grey.

  shiftnet inpaint photo.jpg --mask mask.png -o out.jpg
  shiftnet inpaint *.jpg --mask masks -o filled/
  shiftnet inpaint photos --mask masks -o filled
  shiftnet inpaint s3://b/photos --mask s3://b/masks -o s3://b/filled
  shiftnet inpaint - --mask mask.png -o - < photo.jpg > out.jpg
"""


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "photos",
        nargs="+",
        metavar="PHOTO",
        help="fill JPEG, PNG, WebP, TIFF, AVIF or HEIC (package pillow-heif) files, all photos of one folder or URL "
        "(s3://bucket/photos), or - for standard input",
    )
    parser.add_argument(
        "--mask",
        required=True,
        action="append",
        metavar="FILE",
        help="fill what is lighter than the middle of this picture of the photo's size, or what a JSON file of boxes, "
        "polygons and strokes marks (repeat to join several); or a folder of masks with the names of the photos",
    )
    parser.add_argument(
        "-o",
        "--output",
        required=True,
        metavar="PATH",
        help="write to this file, in the format of its suffix, or into this folder if it exists or ends in /; - for "
        "standard output",
    )
    parser.add_argument("--model", metavar="PATH", help=MODEL_HELP)
    parser.add_argument("-q", "--quiet", action="store_true", help="print errors only")
    _add_filling(parser)
    _add_output(parser)
    _add_cluster(parser)
    add_running(parser)


def _add_filling(parser: argparse.ArgumentParser) -> None:
    """Add an option for each field of FillOptions."""
    group = parser.add_argument_group("how the hole is filled and the mask is read")
    types = get_type_hints(FillOptions)
    for field in dataclasses.fields(FillOptions):
        kinds: dict[str, Any] = {"help": field.metadata["help"], "default": field.default}
        if types[field.name] is bool:
            kinds["action"] = "store_true"
        elif get_origin(types[field.name]) is Literal:
            kinds["choices"] = get_args(types[field.name])
        else:
            kinds |= {"type": int, "metavar": "N"}
        group.add_argument("--" + field.name.replace("_", "-"), **kinds)


def _add_output(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("what is read and written")
    group.add_argument("--overwrite", action="store_true", help="let a result replace its photo (default: refuse)")
    group.add_argument(
        "--quality",
        type=int,
        metavar="N",
        help="write JPEG, WebP, AVIF and HEIC with quality N, 1 to 100 (default: that of the photo)",
    )
    group.add_argument(
        "--suffix",
        metavar=".EXT",
        help="write results of this format into the folder or to standard output (default: that of the photo)",
    )
    group.add_argument("--skip-existing", action="store_true", help="skip existing outputs")
    group.add_argument("--workers", type=int, default=2, metavar="N", help="fill N photos at a time (default: 2)")
    group.add_argument("--log", metavar="FILE", help="append a line of JSON for each photo to this file")
    group.add_argument(
        "--save-shift-map", metavar="FILE", help="draw where each part of the hole came from, of one photo"
    )
    group.add_argument(
        "--max-pixels",
        type=float,
        metavar="MILLIONS",
        help="reject photos above this many megapixels (default and maximum: 179)",
    )


def _add_cluster(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("a cluster (package ray)")
    group.add_argument(
        "--cluster",
        metavar="auto|ADDRESS",
        help="fill the photos of a folder on the Ray cluster at host:port; auto: on the one of this machine, or on one "
        "that is started on it (default: without a cluster)",
    )
    group.add_argument(
        "--actors", type=int, metavar="N", help="fill with N models at a time (default: as many as there is room for)"
    )
    group.add_argument(
        "--gpus-per-actor", type=float, metavar="N", help="give each model N GPUs, or a part of one (default: 0)"
    )


INPAINT = Subcommand(
    "fill the holes of photos", _DESCRIPTION, _add_arguments, filling.fill, "PHOTO... --mask FILE -o PATH [options]"
)
