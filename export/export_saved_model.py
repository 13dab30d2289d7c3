"""Export a run to a TensorFlow SavedModel: `shiftnet export saved-model` in a checkout.

python export/export_saved_model.py runs/demo-20261122T120000Z --out models/demo
"""

from shiftnet_tf.cli.export import SAVED_MODEL

main = SAVED_MODEL.main

if __name__ == "__main__":
    raise SystemExit(main())
