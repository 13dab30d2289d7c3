"""Write a Triton model repository from a model folder: `shiftnet export triton` in a checkout.

python export/triton_repository.py models/demo --out repository --accelerator tensorrt
"""

from shiftnet_tf.cli.export import TRITON

main = TRITON.main

if __name__ == "__main__":
    raise SystemExit(main())
