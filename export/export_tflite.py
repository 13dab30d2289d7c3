"""Exports a run to TFLite, for LiteRT on phones and boards.

    python export/export_tflite.py runs/demo-20261122T120000Z --out models/demo

uint8 image and mask in, uint8 inpainted image out, batch 1; builtin operations only. --precision float16 halves the
file, --precision dynamic quarters it: weights of 8 bits, and activations of 8 bits where that is faster.
"""

import tempfile
from pathlib import Path

from shiftnet_tf.errors import ExportError, command, first_line
from shiftnet_tf.quiet import import_tensorflow, quiet_stderr

tf = import_tensorflow()

from shiftnet_tf import exporting, serving

PHOTOS = Path(__file__).resolve().parent.parent / "training" / "sample_photos" / "train"


def convert(generator, path, job):
    with tempfile.TemporaryDirectory() as folder:
        serving.write_saved_model(generator, folder, batch=1, with_shift_map=job.with_shift_map)
        converter = tf.lite.TFLiteConverter.from_saved_model(folder)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
        if job.precision != "float32":
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
        if job.precision == "float16":
            converter.target_spec.supported_types = [tf.float16]
        try:
            with quiet_stderr():
                content = converter.convert()
        except Exception as error:  # the converter raises what its C++ code throws
            raise ExportError(f"the TFLite converter refuses the network: {first_line(error)}") from error
    path.write_bytes(content)


@command
def main(arguments=None):
    options = exporting.parser(__doc__, PHOTOS, ("float32", "float16", "dynamic")).parse_args(arguments)
    exporting.export(options, "tflite", ".tflite", convert, ["tensorflow", "keras"], batch=1)


if __name__ == "__main__":
    raise SystemExit(main())
