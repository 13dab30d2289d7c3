"""Measure a training step on this machine, beside the same step in plain PyTorch.

    python benchmarks/training.py
    python benchmarks/training.py --filters 32 --threads 4 --json step.json

The paper's networks and losses (l1, guidance, GAN) at batch 1 and 256x256, random weights, one photo prepared
beforehand; each step updates generator and discriminator. Our step is built as train.py builds it. Each measurement is
a new process, and the processes are interleaved so that machine drift affects all equally: compare only ratios within
one run. The plain PyTorch step has the same weights, also computes both networks' gradients from one forward pass, and
must give the same losses.
"""

import argparse

from shiftnet_tf.system.quiet import import_tensorflow

import_tensorflow()

from harness.report import parse
from harness.training import compare_steps
from shiftnet_tf.system.command import command


@command
def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--filters", type=int, default=64, help="set the base width of both networks (default: 64)")
    parser.add_argument("--image-size", type=int, default=256, help="set the image size in pixels (default: 256)")
    parser.add_argument("--batch", type=int, default=1, metavar="N", help="train on N photos per step (default: 1)")
    compare_steps(**parse(parser, 5, arguments))


if __name__ == "__main__":
    raise SystemExit(main())
