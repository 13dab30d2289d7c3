"""Exports a run to ONNX, for ONNX Runtime on a server.

    python export/export_onnx.py runs/demo-20261122T120000Z --out models/demo

uint8 image and mask in, uint8 inpainted image out, any batch; opset 18. --precision float16 halves the file: its
weights are kept in 16 bits and computed with in 32. --precision int8 quarters it: convolutions in 8 bits.
"""

from pathlib import Path

from shiftnet_tf.system.command import command
from shiftnet_tf.system.quiet import import_tensorflow

import_tensorflow()

from shiftnet_tf.export import export_onnx
from shiftnet_tf.export.command_line import parse
from shiftnet_tf.export.to_onnx import FORMAT

PHOTOS = Path(__file__).resolve().parent.parent / "training" / "sample_photos" / "train"


@command
def main(arguments=None):
    export_onnx(**parse(__doc__, PHOTOS, FORMAT, arguments))


if __name__ == "__main__":
    raise SystemExit(main())
