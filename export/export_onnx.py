"""Export a run to ONNX: `shiftnet export onnx` in a checkout.

python export/export_onnx.py runs/demo-20261122T120000Z --out models/demo
"""

from shiftnet_tf.cli.export import ONNX

main = ONNX.main

if __name__ == "__main__":
    raise SystemExit(main())
