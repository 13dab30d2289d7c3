"""Export to TFLite, for LiteRT on phones and boards."""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import tensorflow as tf

from shiftnet_tf.errors import ExportError, first_line
from shiftnet_tf.export import exporter, graph, mobile_gpu, parity
from shiftnet_tf.export.mobile_network import for_mobile_gpu
from shiftnet_tf.networks import Generator
from shiftnet_tf.ops.patch_filling import SCOPE
from shiftnet_tf.ops.targets import graph_for_file
from shiftnet_tf.system.packages import import_optional
from shiftnet_tf.system.quiet import quiet_stderr


def convert(generator: Generator, path: Path, job: exporter.Job) -> None:
    """Write a TFLite file: the converter for `export_tflite`, see `exporter.Format`."""
    if job.profile == "mobile-gpu":
        mobile_gpu.check_network(generator)
        generator = for_mobile_gpu(generator)
    with tempfile.TemporaryDirectory() as folder, graph_for_file():
        graph.write_saved_model(generator, folder, batch=1, with_shift_map=job.shift_map)
        converter = tf.lite.TFLiteConverter.from_saved_model(folder)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
        if job.precision == "float16":
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
            converter.target_spec.supported_types = [tf.float16]
        try:
            with quiet_stderr():
                content = converter.convert()
        except Exception as error:  # the converter raises whatever its C++ code throws
            raise ExportError(f"the TFLite converter rejects the network: {first_line(error)}") from error
    path.write_bytes(content)
    if job.precision in ("dynamic", "int8"):
        quantize(path, job.calibration)
    if job.profile == "mobile-gpu" and (refused := mobile_gpu.find_refused(path)):
        raise ExportError(f"GPU delegates on phones would run part of this network on the CPU: {'; '.join(refused)}")


def quantize(path: Path, pairs: parity.Pairs | None = None) -> None:
    """Quantize the convolutions of a TFLite file to 8 bits, one weight scale per channel; the rest stays float32.

    Args:
        path: the file, replaced.
        pairs: images and masks on which the range of each activation is calibrated; None: it is computed for each
            image.
    """
    quantization = import_optional("ai_edge_quantizer", "ai-edge-quantizer", "quantising a TFLite model")
    # The convolutions of fill_from_patches only move values, which 8 bits would degrade at no gain.
    what = {"regex": f"^(?!.*{SCOPE}).*$", "operation_name": quantization.qtyping.TFLOperationName.CONV_2D}
    with quiet_stderr():
        quantizer = quantization.quantizer.Quantizer(str(path))
        if pairs is None:
            quantizer.add_dynamic_config(**what, num_bits=8)
            result = quantizer.quantize()
        else:
            quantizer.add_static_config(**what, activation_num_bits=8, weight_num_bits=8)
            names = ("image", "mask")
            inputs = [{name: value[np.newaxis] for name, value in zip(names, pair)} for pair in zip(*pairs)]
            result = quantizer.quantize(quantizer.calibrate({"serving_default": inputs}))
    path.write_bytes(result.quantized_model)


FORMAT = exporter.Format(
    name="tflite",
    convert=convert,
    packages=("tensorflow", "keras"),
)


def export_tflite(
    run: str | os.PathLike[str],
    out: str | os.PathLike[str] | None = None,
    *,
    image_size: int | None = None,
    shift_map: bool = False,
    precision: str = "float32",
    profile: str = "default",
    photos: parity.Folders | None = None,
    calibration_photos: parity.Folders | None = None,
    max_psnr_drop: float = 0.2,
    log: Callable[[str], object] = print,
) -> Path:
    """Write a run's network as TFLite: uint8 image and mask in, uint8 inpainted image out, batch 1, only builtins.

    Args:
        run: a run folder, a folder of packed weights, or a preset such as `"compact"`.
        out: the model folder to write to; None: `export/` in the run folder (required for a preset).
        image_size: S in pixels, a multiple of 2**depth; None: the training size.
        shift_map: whether the file also outputs the shift map, int32 [B, h, w]. Defaults to False.
        precision: `"float32"`; `"float16"`, half the file size; `"dynamic"` and `"int8"`, a quarter: convolutions run
            in 8 bits. int8 calibrates the activation ranges on photos at export time, dynamic computes them for each
            image. Defaults to `"float32"`.
        profile: `"default"`, or `"mobile-gpu"`: only operations that LiteRT's GPU delegates run on phones, with the
            same values. Defaults to `"default"`.
        photos: folder or folders of photos to compare with Keras on; None: the training photos.
        calibration_photos: folder or folders with at least 100 photos for int8 calibration, besides those compared with
            Keras; None: the training photos.
        max_psnr_drop: dB of PSNR in the hole that a lower precision may lose against Keras. Defaults to 0.2.
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
        profile=profile,
        photos=photos,
        calibration_photos=calibration_photos,
        max_psnr_drop=max_psnr_drop,
        log=log,
    )
