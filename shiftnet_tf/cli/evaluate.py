"""`shiftnet evaluate`, which is also training/evaluate.py."""

import argparse

from shiftnet_tf.cli.parsing import Subcommand
from shiftnet_tf.errors import InputError, check_folder
from shiftnet_tf.system.packages import check_installed
from shiftnet_tf.system.quiet import load_tensorflow

_DESCRIPTION = """
Measure models and classical methods on photos with holes, and write the table that a paper would print.

  shiftnet evaluate runs/mine models/mine --images ~/photos/test \\
      --masks center --baselines telea,patchmatch --out results

In a checkout `python training/evaluate.py` takes the same arguments.

Each photo is scaled so that its short side is 350 pixels (for a size of 256) and its centre is cropped, or with --whole
taken as it is. The masks are `center` (the paper's hole), `freeform:SEED` (random strokes, one mask for each photo and
each range of hole size) or a folder of masks, one for each photo in the order of their names.

With --deep the distance of EfficientNet-Lite2's features is measured too, photo by photo, and their Frechet distance
over all photos (neither LPIPS nor FID).

--lpips and --fid measure LPIPS, photo by photo, and FID over all photos with the packages of the extra `lpips-fid`.
Download the files of weights yourself: alexnet-owt-7be5be79.pth or vgg16-397923af.pth from torchvision for LPIPS,
weights-inception-2015-12-05-6726825d.pth from torch-fidelity for FID.

Written to --out are results.csv (a row for each photo and method), results.json, table.md, and contact.png, the best,
middle and worst photos of the first method.
"""


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "models", nargs="*", metavar="MODEL", help="measure this run folder, model folder or preset (compact)"
    )
    parser.add_argument("--images", required=True, metavar="DIR", help="measure on the photos of this folder")
    parser.add_argument(
        "--masks", required=True, metavar="MASKS", help="take these holes: center, freeform:SEED or a folder of masks"
    )
    parser.add_argument(
        "--baselines", default="", metavar="LIST", help="measure these too: telea, ns, biharmonic, patchmatch"
    )
    parser.add_argument(
        "--detail",
        default="model",
        metavar="LIST",
        help="measure answers as they are (model), with pixels copied by a shift map that the answer guides "
        "(shift-map, of baselines too), or by one without a guide (unguided) (default: model)",
    )
    parser.add_argument("--deep", action="store_true", help="measure deep features too (extra `perceptual`)")
    parser.add_argument(
        "--lpips",
        metavar="FILE",
        help="measure LPIPS with this file of AlexNet's or VGG16's weights (extra `lpips-fid`)",
    )
    parser.add_argument(
        "--fid", metavar="FILE", help="measure FID with this file of Inception's weights (extra `lpips-fid`)"
    )
    parser.add_argument("--out", required=True, metavar="DIR", help="write the results to this folder")
    parser.add_argument("--size", type=int, default=256, metavar="N", help="crop N x N pixels (default: 256)")
    parser.add_argument("--whole", action="store_true", help="take each photo whole, at its own size")


def _run(options: argparse.Namespace) -> None:
    check_installed("tensorflow", "evaluate", "evaluating")
    if not options.models and not options.baselines:
        raise InputError("name at least one MODEL or one of --baselines")
    check_folder("--out", options.out)
    load_tensorflow()
    from shiftnet_tf.evaluation import Samples, evaluate

    samples = Samples(images=options.images, masks=options.masks, size=options.size, whole=options.whole)
    baselines = [name for name in options.baselines.split(",") if name]
    details = options.detail.split(",")
    evaluate(
        options.out,
        samples,
        options.models,
        baselines=baselines,
        details=details,
        deep=options.deep,
        lpips=options.lpips,
        fid=options.fid,
    )
    print(options.out)


EVALUATE = Subcommand("measure models beside other methods", _DESCRIPTION, _add_arguments, _run)
