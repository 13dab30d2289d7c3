"""`shiftnet export onnx`, `tflite`, `saved-model` and `triton`, also available as scripts in export/."""

import argparse
import functools
import inspect

from shiftnet_tf.cli.parsing import Group, Subcommand
from shiftnet_tf.model_folder import FORMATS, FileFormat
from shiftnet_tf.system.bundled import find_bundled
from shiftnet_tf.system.packages import check_installed
from shiftnet_tf.system.quiet import load_tensorflow
from shiftnet_tf.triton import ACCELERATORS, write_repository

_ONNX = """
Export a run to ONNX, for ONNX Runtime on a server: uint8 image and mask in, uint8 inpainted image out, any batch, opset
18.

  shiftnet export onnx runs/mine --out models/mine

In a checkout `python export/export_onnx.py` takes the same arguments.

--precision float16 halves the file: weights are stored in 16 bits and computed with in 32. --precision int8 quarters
it: convolutions run in 8 bits.
"""

_TFLITE = """
Export a run to TFLite, for LiteRT on phones and boards: uint8 image and mask in, uint8 inpainted image out, batch 1,
builtin operations only.

  shiftnet export tflite runs/mine --out models/mine

In a checkout `python export/export_tflite.py` takes the same arguments.

--precision float16 halves the file. --precision dynamic and int8 quarter it: convolutions run in 8 bits, everything
else in float32. int8 calibrates the activation ranges on photos at export time; dynamic computes them for each image.
--profile mobile-gpu uses only operations that LiteRT's GPU delegates run on phones; the values stay the same.
"""

_SAVED_MODEL = """
Export a run to a TensorFlow SavedModel, for TensorFlow Serving: uint8 image and mask in, uint8 inpainted image
out, any batch, signature `serving_default`.

  shiftnet export saved-model runs/mine --out models/mine

In a checkout `python export/export_saved_model.py` takes the same arguments.
"""

_TRITON = """
Write a model repository for NVIDIA Triton Inference Server from a model folder that has an ONNX file: Triton runs that
file on its ONNX Runtime backend.

  shiftnet export triton models/mine --out repository --accelerator tensorrt

In a checkout `python export/triton_repository.py` takes the same arguments.
"""


def _add_arguments(parser: argparse.ArgumentParser, name: str) -> None:
    kind = FORMATS[name]
    parser.add_argument(
        "run", metavar="RUN", help="export this run folder, folder of packed weights or preset (compact)"
    )
    parser.add_argument("--out", metavar="DIR", help="write to this model folder (default: export/ in the run folder)")
    parser.add_argument(
        "--image-size",
        type=int,
        metavar="N",
        help="export for N x N pixels, a multiple of 2**depth (default: the training size)",
    )
    parser.add_argument(
        "--shift-map", action="store_true", help="add a second output: where each part of the hole was copied from"
    )
    samples = find_bundled("training/sample_photos/train")
    whose = "the sample photos" if samples else "the training photos"
    parser.add_argument(
        "--photos", default=samples, metavar="DIR", help=f"compare with Keras on these photos (default: {whose})"
    )
    if name == "onnx":
        parser.add_argument(
            "--license",
            metavar="NAME",
            help="record this licence of the weights in the file (default: the model card's)",
        )
    if len(kind.profiles) > 1:
        parser.add_argument(
            "--profile",
            choices=kind.profiles,
            default="default",
            help="restrict the operations to those that GPU delegates on phones support (default: default)",
        )
    if len(kind.precisions) > 1:
        _add_precision(parser, kind)


def _add_precision(parser: argparse.ArgumentParser, kind: FileFormat) -> None:
    parser.add_argument(
        "--precision",
        choices=kind.precisions,
        default="float32",
        help="export at this precision (default: float32)",
    )
    parser.add_argument(
        "--max-psnr-drop",
        type=float,
        default=0.2,
        metavar="DB",
        help="reject a lower precision that loses more PSNR than this (default: 0.2)",
    )
    if "int8" in kind.precisions:
        parser.add_argument(
            "--calibration-photos",
            metavar="DIR",
            help="calibrate int8 on these photos, at least 100 besides --photos (default: the training photos)",
        )


def _run(options: argparse.Namespace, name: str) -> None:
    check_installed("tensorflow", "export", "exporting")
    load_tensorflow()
    from shiftnet_tf import export

    function = getattr(export, f"export_{name}")
    names = set(inspect.signature(function).parameters)
    function(**{key: value for key, value in vars(options).items() if key in names})


def _subcommand(name: str, help: str, description: str) -> Subcommand:
    run = functools.partial(_run, name=name)
    return Subcommand(help, description, functools.partial(_add_arguments, name=name), run)


ONNX = _subcommand("onnx", "export to ONNX, for ONNX Runtime on a server", _ONNX)
TFLITE = _subcommand("tflite", "export to TFLite, for LiteRT on phones and boards", _TFLITE)
SAVED_MODEL = _subcommand("saved_model", "export to a SavedModel, for TensorFlow Serving", _SAVED_MODEL)


def _add_triton_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL", help="serve the ONNX file of this model folder, or this ONNX file")
    parser.add_argument("--out", required=True, metavar="REPO", help="write to this model repository")
    parser.add_argument("--name", default="shiftnet", help="serve the model under this name (default: shiftnet)")
    parser.add_argument(
        "--accelerator",
        choices=ACCELERATORS,
        help="run on GPUs with this execution provider and dynamic batching (default: CPU, no batching)",
    )
    parser.add_argument("--max-batch", type=int, default=8, metavar="N", help="batch at most N images (default: 8)")
    parser.add_argument("--precision", help="use the file of this precision (default: the most precise)")


def _run_triton(options: argparse.Namespace) -> None:
    folder = write_repository(
        options.model,
        options.out,
        name=options.name,
        accelerator=options.accelerator,
        max_batch=options.max_batch,
        precision=options.precision,
    )
    print(f"{folder}: tritonserver --model-repository {options.out}")


TRITON = Subcommand("write a model repository for NVIDIA Triton", _TRITON, _add_triton_arguments, _run_triton)

EXPORT = Group(
    "export a trained model",
    "Export a trained model. Each file is run and compared with Keras before it is kept.",
    "FORMAT",
    {"onnx": ONNX, "tflite": TFLITE, "saved-model": SAVED_MODEL, "triton": TRITON},
)
