"""Exports a run to TFLite, for LiteRT on phones and boards.

    python export/export_tflite.py runs/demo-20261122T120000Z --out models/demo

uint8 image and mask in, uint8 inpainted image out, batch 1; builtin operations only. --precision float16 halves the
file. --precision dynamic and int8 quarter it: convolutions in 8 bits, all else in float32. Of int8 the ranges of the
activations are fitted to photos beforehand, of dynamic they are taken from each picture. --profile mobile-gpu keeps to
the operations that LiteRT's delegates for the GPUs of phones run: the same values.
"""

import tempfile
from pathlib import Path

from shiftnet_tf.errors import ExportError, first_line
from shiftnet_tf.system.command import command
from shiftnet_tf.system.packages import import_optional
from shiftnet_tf.system.quiet import import_tensorflow, quiet_stderr

tf = import_tensorflow()

import numpy as np

from shiftnet_tf import exporting, gpu_delegate, model_folder, serving
from shiftnet_tf.ops.patch_filling import SCOPE
from shiftnet_tf.ops.targets import graph_for

PHOTOS = Path(__file__).resolve().parent.parent / "training" / "sample_photos" / "train"


def convert(generator, path, job):
    target = "mobile-gpu" if job.profile == "mobile-gpu" else "runtime"
    with tempfile.TemporaryDirectory() as folder, graph_for(target):
        serving.write_saved_model(generator, folder, batch=1, with_shift_map=job.with_shift_map)
        converter = tf.lite.TFLiteConverter.from_saved_model(folder)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
        if job.precision == "float16":
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
            converter.target_spec.supported_types = [tf.float16]
        try:
            with quiet_stderr():
                content = converter.convert()
        except Exception as error:  # the converter raises what its C++ code throws
            raise ExportError(f"the TFLite converter refuses the network: {first_line(error)}") from error
    path.write_bytes(content)
    if job.precision in ("dynamic", "int8"):
        quantize(path, job.calibration)
    if job.profile == "mobile-gpu" and (refused := gpu_delegate.refused(path)):
        raise ExportError(f"the GPU of a phone would leave this network to the CPU in part: {'; '.join(refused)}")


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


@command
def main(arguments=None):
    options = exporting.parser(
        __doc__, PHOTOS, ("float32", "float16", "dynamic", "int8"), model_folder.PROFILES
    ).parse_args(arguments)
    exporting.export(options, "tflite", ".tflite", convert, ["tensorflow", "keras"], batch=1)


if __name__ == "__main__":
    raise SystemExit(main())
