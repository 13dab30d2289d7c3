"""Measure models and classical methods on photos with holes: `shiftnet evaluate` in a checkout.

    python training/evaluate.py runs/mine models/mine --images ~/photos/test --masks center \\
        --baselines telea,patchmatch --out results
"""

from shiftnet_tf.cli.evaluate import EVALUATE

main = EVALUATE.main

if __name__ == "__main__":
    raise SystemExit(main())
