"""Export to TFLite, for LiteRT on phones and boards."""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import tensorflow as tf

from shiftnet_tf.errors import ExportError, first_line
from shiftnet_tf.export import exporter, graph, mobile_gpu
from shiftnet_tf.export.mobile_network import for_mobile_gpu
from shiftnet_tf.ops.patch_filling import SCOPE
from shiftnet_tf.ops.targets import graph_for_file
from shiftnet_tf.system.packages import import_optional
from shiftnet_tf.system.quiet import quiet_stderr


def convert(generator, path, job):
    """Write a TFLite file: the converter of `export_tflite`, see `exporter.Format`."""
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
        except Exception as error:  # the converter raises what its C++ code throws
            raise ExportError(f"the TFLite converter rejects the network: {first_line(error)}") from error
    path.write_bytes(content)
    if job.precision in ("dynamic", "int8"):
        quantize(path, job.calibration)
    if job.profile == "mobile-gpu" and (refused := mobile_gpu.find_refused(path)):
        raise ExportError(f"GPU delegates on phones would run part of this network on the CPU: {'; '.join(refused)}")


def quantize(path, pairs=None):
    """Puts the convolutions of a TFLite file in 8 bits, weights for each channel apart; all else stays float32.

    Args:
        path: Path of the file, replaced.
        pairs: (images uint8 [N, S, S, 3], masks uint8 [N, S, S, 1]), from which the range of each activation is taken;
            None: each picture's own.
    """
    quantization = import_optional("ai_edge_quantizer", "ai-edge-quantizer", "quantising a TFLite model")
    # The convolutions of fill_from_patches only move values: in 8 bits they would spoil them and gain nothing.
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
    photos: exporter.Folders | None = None,
    calibration_photos: exporter.Folders | None = None,
    max_psnr_drop: float = 0.2,
    log: Callable[[str], object] = print,
) -> Path:
    """Write a run's network as TFLite: uint8 image and mask in, uint8 inpainted image out, batch 1, builtins alone.

    Args:
        run: a run folder, a folder of packed weights, or a preset such as `"compact"`.
        out: the model folder to write to; None: `export/` in the run folder, of a preset none.
        image_size: S in pixels, a multiple of 2**depth; None: the training's.
        shift_map: whether the file gives the shift map too, int32 [B, h, w]. Defaults to False.
        precision: `"float32"`; `"float16"`, half the file; `"dynamic"` and `"int8"`, a quarter, convolutions in 8 bits:
            int8 fits the ranges of the activations to photos beforehand, dynamic takes them from each picture. Defaults
            to `"float32"`.
        profile: `"default"`, or `"mobile-gpu"`: only operations that LiteRT's delegates for the GPUs of phones run, the
            same values. Defaults to `"default"`.
        photos: folder or folders of photos to compare with Keras on; None: those that the run was trained on.
        calibration_photos: folder or folders of 100 photos or more that int8 is fitted to, but for those compared on;
            None: those that the run was trained on.
        max_psnr_drop: dB that a lower precision may lose in the hole, beside Keras. Defaults to 0.2.
        log: function of a line, for progress. Defaults to `print`.

    Returns:
        The path of the file.

    Raises:
        InputError: the run, the photos, the size or the folder cannot be used.
        ExportError: the conversion fails, or its file does not compute what Keras computes, or loses too much; nothing
            is left then.
        MissingPackageError: a package is absent; the text holds the `pip install` line.
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
