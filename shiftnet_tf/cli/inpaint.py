"""`shiftnet inpaint`: the command line for filling one photo or many."""

import argparse
import dataclasses
from typing import Any, Literal, get_args, get_origin, get_type_hints

from shiftnet_tf.cli import filling
from shiftnet_tf.cli.parsing import Subcommand
from shiftnet_tf.cli.running import MODEL_HELP, add_running
from shiftnet_tf.runtime import FillOptions

_DESCRIPTION = """
Fill holes in photos. Known pixels do not change; metadata, colour profile, alpha and 16-bit grey are kept.

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
        help="fill these JPEG, PNG, WebP, TIFF, AVIF or HEIC (package pillow-heif) files, or all photos in one folder "
        "or URL (s3://bucket/photos); - for standard input",
    )
    parser.add_argument(
        "--mask",
        required=True,
        action="append",
        metavar="FILE",
        help="fill where this image, as large as the photo, is lighter than mid-grey, or inside the boxes, polygons "
        "and strokes of this JSON file (repeat to combine several); or use a folder of masks named like the photos",
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
    group = parser.add_argument_group("filling and masks")
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
    group = parser.add_argument_group("input and output")
    group.add_argument(
        "--overwrite", action="store_true", help="allow results to replace their photos (default: refuse)"
    )
    group.add_argument(
        "--quality",
        type=int,
        metavar="N",
        help="write JPEG, WebP, AVIF and HEIC at quality N, 1 to 100 (default: the photo's)",
    )
    group.add_argument(
        "--suffix",
        metavar=".EXT",
        help="write to the folder or standard output in this format (default: the photo's)",
    )
    group.add_argument("--skip-existing", action="store_true", help="skip existing outputs")
    group.add_argument("--workers", type=int, default=2, metavar="N", help="fill N photos at a time (default: 2)")
    group.add_argument("--log", metavar="FILE", help="append one line of JSON per photo to this file")
    group.add_argument(
        "--save-shift-map", metavar="FILE", help="draw where each part of the hole was copied from (single photos only)"
    )
    group.add_argument(
        "--max-pixels",
        type=float,
        metavar="MILLIONS",
        help="reject photos above this many megapixels (default and maximum: 179)",
    )


def _add_cluster(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("cluster (package ray)")
    group.add_argument(
        "--cluster",
        metavar="auto|ADDRESS",
        help="run on the Ray cluster at host:port; auto uses this machine's cluster, or starts one on it (default: no "
        "cluster)",
    )
    group.add_argument("--actors", type=int, metavar="N", help="run N models at a time (default: as many as fit)")
    group.add_argument(
        "--gpus-per-actor", type=float, metavar="N", help="give each model N GPUs, or a fraction of one (default: 0)"
    )


INPAINT = Subcommand(
    "fill holes in photos", _DESCRIPTION, _add_arguments, filling.fill, "PHOTO... --mask FILE -o PATH [options]"
)
