"""The command `shiftnet`: fill the hole of a photo, say what a model is, or say what works on this machine."""

import argparse
import functools
import sys

from shiftnet_tf import __version__, doctor
from shiftnet_tf.artifact import ArtifactSpec, locate
from shiftnet_tf.errors import MissingPackageError, command
from shiftnet_tf.quiet import quiet_start
from shiftnet_tf.runtime import Inpainter, inpaint_file
from shiftnet_tf.runtime.backends import RUNTIMES, installed


def _inpaint(options):
    inpainter = _start(options, options.runtime, options.precision, options.threads)
    if inpaint_file(inpainter, options.photo, options.mask, options.output, options.save_shift_map):
        print(f"{options.output}: filled with {inpainter.path} on {_where(inpainter)}")
        if options.save_shift_map:
            print(f"{options.save_shift_map}: where each part of the hole came from")
    else:
        print(f"note: the mask has no hole, {options.output} is the photo unchanged", file=sys.stderr)


def _info(options):
    path = options.model
    folder, name = locate(path)
    spec = ArtifactSpec.read(folder)
    masks = ", ".join(f"{kind} {weight:g}" for kind, weight in spec.masks.items() if weight)
    print(f"model folder: {folder}\ntrained at: {spec.image_size}x{spec.image_size}, masks: {masks}")
    print(f"weights: sha256 {spec.weights_sha256}")
    for file, entry in sorted(spec.files.items()):
        if name not in (None, file):
            continue
        batch = "any batch" if entry.batch is None else f"batch {entry.batch}"
        print(f"{file}: {entry.format}, {entry.precision}, {entry.image_size}x{entry.image_size}, {batch}")
        print(f"    outputs: {', '.join(entry.outputs)}")
        print(
            f"    against Keras on {entry.parity['pairs']} photos: mean difference "
            f"{entry.parity['mean_difference']:.2g} grey levels, at most {entry.parity['max_difference']}"
        )
    print(f"runtimes installed: {', '.join(installed()) or 'none'}")
    try:
        inpainter = _start(options)
    except MissingPackageError as error:
        print(f"taken here: nothing, {error}")
    else:
        print(f"taken here: {inpainter.path.name} on {_where(inpainter)}")


def _start(options, *choices):
    with quiet_start():
        return Inpainter(options.model, *choices, provider=options.provider, require_gpu=options.require_gpu)


def _where(inpainter):
    return f"{inpainter.runtime} ({inpainter.provider})"


def _doctor(options):
    return 0 if doctor.examine(functools.partial(print, flush=True), options.tensorflow) else 1


def _add_provider(parser):
    parser.add_argument("--provider", default="auto", help="auto (default), cpu, cuda, tensorrt: `doctor` lists them")
    parser.add_argument("--require-gpu", action="store_true", help="end with exit code 3 rather than run on the CPU")


def _parser():
    parser = argparse.ArgumentParser(prog="shiftnet", description=__doc__)
    parser.add_argument("--version", action="version", version=f"shiftnet {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    model = "model folder (with spec.json), or one model file in it"
    inpaint = commands.add_parser("inpaint", help="fill the hole of a photo", description="Fills the hole of a photo.")
    inpaint.add_argument("photo", help="JPEG, PNG, WebP or what else Pillow reads")
    inpaint.add_argument("--mask", required=True, help="picture of the photo's size; what is not black is hole")
    inpaint.add_argument("-o", "--output", required=True, help="file to write; PNG keeps known pixels bit for bit")
    inpaint.add_argument("--model", help=f"{model}; default: the one that comes with shiftnet_tf")
    inpaint.add_argument("--save-shift-map", metavar="FILE", help="picture of where each part of the hole came from")
    inpaint.add_argument("--runtime", choices=list(RUNTIMES), help="default: the first that is installed and fits")
    inpaint.add_argument("--precision", help="default: the most precise file")
    inpaint.add_argument("--threads", type=int, help="default: left to the runtime")
    _add_provider(inpaint)
    inpaint.set_defaults(run=_inpaint)

    info = commands.add_parser("info", help="say what a model is", description="Says what a model folder holds.")
    info.add_argument("model", nargs="?", help=f"{model}; default: the one that comes with shiftnet_tf")
    _add_provider(info)
    info.set_defaults(run=_info)

    check = commands.add_parser(
        "doctor",
        help="say what is installed and what works",
        description="One page for a bug report: what is installed, what loads, how long a fill takes. Exit code 1 "
        "where nothing can run the model that comes with shiftnet_tf.",
    )
    check.add_argument("--tensorflow", action="store_true", help="import TensorFlow too, which takes seconds")
    check.set_defaults(run=_doctor)
    return parser


@command
def main(arguments=None):
    options = _parser().parse_args(arguments)
    return options.run(options)


if __name__ == "__main__":
    raise SystemExit(main())
