"""`shiftnet info` and `shiftnet doctor`: describe a model, and report what works on this machine."""

import argparse
import functools

from shiftnet_tf import doctor
from shiftnet_tf.cli.parsing import Subcommand
from shiftnet_tf.cli.running import MODEL_HELP, add_running, start
from shiftnet_tf.errors import MissingPackageError
from shiftnet_tf.model_folder import ModelSpec, locate
from shiftnet_tf.runtime.backends import list_installed


def _add_info(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", nargs="?", metavar="MODEL", help=MODEL_HELP)
    add_running(parser)


def _info(options: argparse.Namespace) -> None:
    folder, name = locate(options.model)
    spec = ModelSpec.read(folder)
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
            f"    against Keras on {entry.parity['pairs']} photos: difference in grey levels: mean "
            f"{entry.parity['mean_difference']:.2g}, maximum {entry.parity['max_difference']}"
        )
    print(f"runtimes installed: {', '.join(list_installed()) or 'none'}")
    try:
        inpainter = start(options)
    except MissingPackageError as error:
        print(f"selected on this machine: none, {error}")
    else:
        print(f"selected on this machine: {inpainter.description}")


def _add_doctor(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--tensorflow", action="store_true", help="also import TensorFlow (takes seconds)")


def _doctor(options: argparse.Namespace) -> int:
    return 0 if doctor.examine(functools.partial(print, flush=True), options.tensorflow) else 1


INFO = Subcommand(
    "describe a model",
    "Describe a model folder: its files, how closely they match Keras, and what would run them on this machine.",
    _add_info,
    _info,
)
DOCTOR = Subcommand(
    "print what is installed and what works",
    "Print a report for bug reports: what is installed, what loads, how long a fill takes. The exit code is 1 if "
    "nothing can run the bundled model.",
    _add_doctor,
    _doctor,
)
