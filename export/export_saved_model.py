"""Exports a run to a TensorFlow SavedModel, as TensorFlow Serving takes it.

    python export/export_saved_model.py runs/demo-20261122T120000Z --out models/demo

uint8 image and mask in, uint8 inpainted image out, any batch; signature `serving_default`.
"""

from pathlib import Path

from shiftnet_tf.system.command import command
from shiftnet_tf.system.quiet import import_tensorflow

import_tensorflow()

from shiftnet_tf import exporting, serving

PHOTOS = Path(__file__).resolve().parent.parent / "training" / "sample_photos" / "train"


def convert(generator, path, job):
    serving.write_saved_model(generator, path, with_shift_map=job.with_shift_map)


@command
def main(arguments=None):
    options = exporting.parser(__doc__, PHOTOS).parse_args(arguments)
    exporting.export(options, "saved_model", "", convert, ["tensorflow", "keras"])


if __name__ == "__main__":
    raise SystemExit(main())
