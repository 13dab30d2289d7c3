"""`shiftnet evaluate`, also available as training/evaluate.py."""

import argparse

from shiftnet_tf.cli.parsing import Subcommand
from shiftnet_tf.errors import InputError, check_folder
from shiftnet_tf.system.packages import check_installed
from shiftnet_tf.system.quiet import load_tensorflow

_DESCRIPTION = """
Measure models and classical methods on photos with holes, and write a table of the results.

  shiftnet evaluate runs/mine models/mine --images ~/photos/test \\
      --masks center --baselines telea,patchmatch --out results

In a checkout `python training/evaluate.py` takes the same arguments.

Each photo is scaled to a short side of 350 pixels (for a size of 256) and cropped at its centre; --whole uses photos at
their own size. The masks are `center` (the paper's hole), `freeform:SEED` (random strokes, one mask for each photo and
each range of hole size) or a folder of masks, one for each photo in the order of their names.

--deep also measures the distance between EfficientNet-Lite2 features, for each photo, and their Frechet distance over
all photos (neither is LPIPS or FID).

--lpips and --fid measure LPIPS, photo by photo, and FID over all photos with the packages of the extra `lpips-fid`.
Download the files of weights yourself: alexnet-owt-7be5be79.pth or vgg16-397923af.pth from torchvision for LPIPS,
weights-inception-2015-12-05-6726825d.pth from torch-fidelity for FID.

--out receives results.csv (one row per photo and method), results.json, table.md and contact.png, which shows the best,
middle and worst photos of the first method.
"""


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "models", nargs="*", metavar="MODEL", help="measure this run folder, model folder or preset (compact)"
    )
    parser.add_argument("--images", required=True, metavar="DIR", help="measure on the photos of this folder")
    parser.add_argument(
        "--masks", required=True, metavar="MASKS", help="fill these holes: center, freeform:SEED or a folder of masks"
    )
    parser.add_argument(
        "--baselines",
        default="",
        metavar="LIST",
        help="also measure telea, ns, biharmonic or patchmatch (default: none)",
    )
    parser.add_argument(
        "--detail",
        default="model",
        metavar="LIST",
        help="measure the method's output (model), pixels copied by a shift map that the output guides (shift-map), or "
        "pixels copied without a guide (unguided) (default: model)",
    )
    parser.add_argument(
        "--deep", action="store_true", help="also measure distances between deep features (extra `perceptual`)"
    )
    parser.add_argument(
        "--lpips",
        metavar="FILE",
        help="measure LPIPS with this file of AlexNet's or VGG16's weights (extra `lpips-fid`)",
    )
    parser.add_argument(
        "--fid", metavar="FILE", help="measure FID with this file of Inception's weights (extra `lpips-fid`)"
    )
    parser.add_argument("--out", required=True, metavar="DIR", help="write the results to this folder")
    parser.add_argument(
        "--size", type=int, default=256, metavar="N", help="crop each photo to N x N pixels (default: 256)"
    )
    parser.add_argument("--whole", action="store_true", help="use whole photos at their own size")


def _run(options: argparse.Namespace) -> None:
    check_installed("tensorflow", "evaluate", "evaluating")
    if not options.models and not options.baselines:
        raise InputError("nothing to measure: pass a MODEL or --baselines")
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


EVALUATE = Subcommand("compare models with other methods", _DESCRIPTION, _add_arguments, _run)
