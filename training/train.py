"""Train Shift-Net: `shiftnet train` in a checkout.

python training/train.py                                   # the demo, on the photos of this repository
python training/train.py training/configs/compact.toml --set data.photos=~/photos
python training/train.py --resume --run-dir runs/compact-20261122T120000Z
"""

from shiftnet_tf.cli.train import TRAIN

main = TRAIN.main

if __name__ == "__main__":
    raise SystemExit(main())
