"""Exports a run to a TensorFlow SavedModel, as TensorFlow Serving takes it.

    python export/export_saved_model.py runs/demo-20261122T120000Z --out models/demo

uint8 image and mask in, uint8 inpainted image out, any batch; signature `serving_default`.
"""

from pathlib import Path

from shiftnet_tf.system.command import command
from shiftnet_tf.system.quiet import import_tensorflow

import_tensorflow()

from shiftnet_tf.export import export_saved_model
from shiftnet_tf.export.command_line import parse
from shiftnet_tf.export.to_saved_model import FORMAT

PHOTOS = Path(__file__).resolve().parent.parent / "training" / "sample_photos" / "train"


@command
def main(arguments=None):
    export_saved_model(**parse(__doc__, PHOTOS, FORMAT, arguments))


if __name__ == "__main__":
    raise SystemExit(main())
