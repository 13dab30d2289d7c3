"""Export a run to TFLite: `shiftnet export tflite` in a checkout.

python export/export_tflite.py runs/demo-20261122T120000Z --out models/demo
"""

from shiftnet_tf.cli.export import TFLITE

main = TFLITE.main

if __name__ == "__main__":
    raise SystemExit(main())
