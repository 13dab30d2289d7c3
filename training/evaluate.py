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

from shiftnet_tf.errors import InputError, check_folder
from shiftnet_tf.system.command import command
from shiftnet_tf.system.quiet import import_tensorflow

import_tensorflow()

from shiftnet_tf.evaluation import Samples, evaluate


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
    options = parser.parse_args(arguments)
    if not options.models and not options.baselines:
        raise InputError("name at least one MODEL or one of --baselines")
    check_folder("--out", options.out)
    return options


@command
def main(arguments=None):
    options = parse(arguments)
    samples = Samples(images=options.images, masks=options.masks, size=options.size, whole=options.whole)
    baselines = [name for name in options.baselines.split(",") if name]
    details = options.detail.split(",")
    evaluate(options.out, samples, options.models, baselines=baselines, details=details, deep=options.deep)
    print(options.out)


if __name__ == "__main__":
    raise SystemExit(main())
