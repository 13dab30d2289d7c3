"""The model and its runtime: the options shared by all commands that fill holes."""

import argparse
from typing import Any

from shiftnet_tf.runtime import Inpainter
from shiftnet_tf.runtime.backends import RUNTIMES
from shiftnet_tf.system.quiet import quiet_start

MODEL_HELP = "use this model folder (with spec.json), or one model file in it (default: compact, the bundled model)"


def add_running(parser: argparse.ArgumentParser) -> None:
    """Add the options for choosing a runtime."""
    group = parser.add_argument_group("model and runtime")
    group.add_argument(
        "--runtime",
        choices=list(RUNTIMES),
        help="use this runtime (default: onnxruntime, or litert if that is not installed or has no file; tensorflow "
        "only if named)",
    )
    group.add_argument("--precision", help="use the file of this precision (default: the most precise)")
    group.add_argument("--threads", type=int, metavar="N", help="use N threads (default: one per usable core)")
    group.add_argument(
        "--provider",
        default="auto",
        help="run on auto, cpu, cuda, tensorrt or what `shiftnet doctor` lists (default: auto)",
    )
    group.add_argument("--require-gpu", action="store_true", help="exit with code 3 instead of running on the CPU")


def start(options: argparse.Namespace) -> Inpainter:
    """Open the model that the options name."""
    with quiet_start():
        return Inpainter.load(**loading(options))


def loading(options: argparse.Namespace) -> dict[str, Any]:
    """Return the arguments for `Inpainter.load` from the options."""
    return {
        "path": options.model,
        "runtime": options.runtime,
        "precision": options.precision,
        "threads": options.threads,
        "provider": options.provider,
        "require_gpu": options.require_gpu,
    }
