"""Export to ONNX, for ONNX Runtime on a server.

tf2onnx copies all weights some seventy times while it optimizes a graph, which takes 14 GB and over a minute for the
paper's network. The kernels are therefore graph inputs during the conversion and become constants afterwards, which
gives the same file with 2 GB in seconds.
"""

import contextlib
import os
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from shiftnet_tf import __version__
from shiftnet_tf.export import exporter, graph, onnx_graph, parity
from shiftnet_tf.networks import Generator
from shiftnet_tf.ops.patch_filling import SCOPE
from shiftnet_tf.ops.targets import graph_for_file
from shiftnet_tf.system.packages import import_optional
from shiftnet_tf.system.quiet import quiet_stderr

OPSET = 18


def convert(generator: Generator, path: Path, job: exporter.Job) -> dict[str, Any]:
    """Write an ONNX file: the converter for `export_onnx`, see `exporter.Format`."""
    tf2onnx = import_optional("tf2onnx.convert", "tf2onnx", "exporting to ONNX")
    kernels = {f"kernel_{i}": variable for i, variable in enumerate(generator.variables) if len(variable.shape) == 4}

    def pipeline(image: tf.Tensor, mask: tf.Tensor, *values: tf.Tensor) -> dict[str, tf.Tensor]:
        with keras.StatelessScope(state_mapping=list(zip(kernels.values(), values))):
            return graph.inpaint(generator, image, mask, job.shift_map)

    signature = graph.input_signature(generator.image_size)
    signature += [tf.TensorSpec(variable.shape, variable.dtype, name=name) for name, variable in kernels.items()]
    with graph_for_file(), _without_copies():
        model, _ = tf2onnx.from_function(tf.function(pipeline), input_signature=signature, opset=OPSET)
    onnx_graph.make_constant(model.graph, {name: variable.numpy() for name, variable in kernels.items()})
    onnx_graph.select_by_where(model.graph)
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "batch"  # tf2onnx gives it a numbered name
    if job.precision == "float16":
        onnx_graph.halve_constants(model.graph)
    path.write_bytes(model.SerializeToString())
    if job.calibration is not None:
        quantize(path, job.calibration)
    _sign(path, job.facts)
    return {"opset": OPSET}


def _sign(path: Path, facts: dict[str, str]) -> None:
    """Write producer, description and metadata into an ONNX file, last, because quantization would drop them."""
    onnx = import_optional("onnx", "onnx", "exporting to ONNX")
    model = onnx.load(path)
    model.producer_name, model.producer_version = "shiftnet_tf", __version__
    model.doc_string = facts.get("description", "")
    onnx.helper.set_model_props(model, {name: text for name, text in facts.items() if name != "description"})
    path.write_bytes(model.SerializeToString())


@contextlib.contextmanager
def _without_copies() -> Iterator[None]:
    """Stop tf2onnx from copying its graph before each of some thirty optimizations: 3 s instead of 14, same graph.

    The copies let tf2onnx skip an optimization that raises; without them the exception ends the conversion.
    """
    name = "TF2ONNX_CATCH_ERRORS"
    before = os.environ.get(name)
    os.environ[name] = "FALSE"
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


def quantize(path: Path, pairs: parity.Pairs) -> None:
    """Quantize all convolutions of an ONNX file except the first to 8 bits, with one weight scale per channel.

    Everything else stays float32. The first convolution is cheap and sees the photo; in 8 bits it cost the bundled
    model 1 dB.

    Args:
        path: the file, replaced.
        pairs: images and masks on which the range of each activation is calibrated.
    """
    quantization = import_optional("onnxruntime.quantization", "onnxruntime", "quantising an ONNX model")
    onnx = import_optional("onnx", "onnx", "quantising an ONNX model")
    plain = path.with_name(f"float32-{path.name}")
    path.rename(plain)
    nodes = onnx.load(plain).graph.node
    # The convolutions of fill_from_patches only move values, which 8 bits would degrade at no gain.
    excluded = [node.name for node in nodes if SCOPE in node.name]
    excluded += [node.name for node in nodes if node.op_type == "Conv" and SCOPE not in node.name][:1]
    batches = ({"image": image[np.newaxis], "mask": mask[np.newaxis]} for image, mask in zip(*pairs))
    with quiet_stderr():
        quantization.quantize_static(
            plain,
            path,
            types.SimpleNamespace(get_next=lambda: next(batches, None)),
            quant_format=quantization.QuantFormat.QDQ,
            op_types_to_quantize=["Conv"],
            nodes_to_exclude=excluded,
            per_channel=True,
            activation_type=quantization.QuantType.QUInt8,
            weight_type=quantization.QuantType.QInt8,
        )
    plain.unlink()


FORMAT = exporter.Format(
    name="onnx",
    convert=convert,
    packages=("tensorflow", "keras", "onnx", "tf2onnx"),
)


def export_onnx(
    run: str | os.PathLike[str],
    out: str | os.PathLike[str] | None = None,
    *,
    image_size: int | None = None,
    shift_map: bool = False,
    precision: str = "float32",
    photos: parity.Folders | None = None,
    calibration_photos: parity.Folders | None = None,
    max_psnr_drop: float = 0.2,
    license: str | None = None,
    log: Callable[[str], object] = print,
) -> Path:
    """Write a run's network as ONNX: uint8 image and mask in, uint8 inpainted image out, any batch, opset 18.

    Args:
        run: a run folder, a folder of packed weights, or a preset such as `"compact"`.
        out: the model folder to write to; None: `export/` in the run folder (required for a preset).
        image_size: S in pixels, a multiple of 2**depth; None: the training size.
        shift_map: whether the file also outputs the shift map, int32 [B, h, w]. Defaults to False.
        precision: `"float32"`; `"float16"`, half the file size: weights are stored in 16 bits and computed with in 32;
            `"int8"`, a quarter: convolutions run in 8 bits. Defaults to `"float32"`.
        photos: folder or folders of photos to compare with Keras on; None: the training photos.
        calibration_photos: folder or folders with at least 100 photos for int8 calibration, besides those compared with
            Keras; None: the training photos.
        max_psnr_drop: dB of PSNR in the hole that a lower precision may lose against Keras. Defaults to 0.2.
        license: licence of the weights for the metadata of the file, such as `"CC-BY-4.0"`; None: that in the front
            matter of README.md in the run folder, if there is one.
        log: called with each line of progress. Defaults to `print`.

    Returns:
        The path of the file.

    Raises:
        InputError: the run, the photos, the size or the folder cannot be used.
        ExportError: the conversion fails, or the file differs from Keras or loses too much; the file is discarded.
        MissingPackageError: a package is not installed; the message contains the `pip install` line.
    """
    return exporter.export(
        FORMAT,
        run,
        out,
        image_size=image_size,
        shift_map=shift_map,
        precision=precision,
        photos=photos,
        calibration_photos=calibration_photos,
        max_psnr_drop=max_psnr_drop,
        license=license,
        log=log,
    )
