"""Exports a run to TFLite, for LiteRT on phones and boards.

    python export/export_tflite.py runs/demo-20261122T120000Z --out models/demo

uint8 image and mask in, uint8 inpainted image out, batch 1; builtin operations only. --precision float16 halves the
file. --precision dynamic and int8 quarter it: convolutions in 8 bits, all else in float32. Of int8 the ranges of the
activations are fitted to photos beforehand, of dynamic they are taken from each picture. --profile mobile-gpu keeps to
the operations that LiteRT's delegates for the GPUs of phones run: the same values.
"""

from pathlib import Path

from shiftnet_tf.system.command import command
from shiftnet_tf.system.quiet import import_tensorflow

import_tensorflow()

from shiftnet_tf.export import export_tflite
from shiftnet_tf.export.command_line import parse
from shiftnet_tf.export.to_tflite import FORMAT

PHOTOS = Path(__file__).resolve().parent.parent / "training" / "sample_photos" / "train"


@command
def main(arguments=None):
    export_tflite(**parse(__doc__, PHOTOS, FORMAT, arguments))


if __name__ == "__main__":
    raise SystemExit(main())
