"""Measure the network on this machine: every runtime and precision beside plain PyTorch and plain Keras.

    python benchmarks/runtimes.py --json benchmark.json --picture benchmark.png
    python benchmarks/runtimes.py --run runs/mine --threads 4 --without-torch

The default is the paper's network at base width 64 with random weights. It is exported in every precision, and each
file is timed on the CPU. Each measurement is a new process, and the processes are interleaved so that machine drift
affects all equally: compare only ratios within one run. The plain networks have our weights and must give the same
picture. PyTorch gets float inputs prepared beforehand, and the others the photo as uint8: that favours PyTorch.

ms: median for one photo. memory: peak of a process that does nothing else, including its libraries. cold start: from
the start of a process to its first picture, with the file in the disk cache.
"""

import argparse
from pathlib import Path

from shiftnet_tf.system.quiet import import_tensorflow

import_tensorflow()

from harness.report import parse
from harness.runtimes import compare_runtimes
from shiftnet_tf.errors import InputError, check
from shiftnet_tf.photos import file_formats
from shiftnet_tf.system.command import command


@command
def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--picture", metavar="FILE", help="draw the times in this PNG (default: no picture)")
    parser.add_argument("--filters", type=int, help="set the base width of random weights (default: 64)")
    parser.add_argument("--image-size", type=int, help="set the image size in pixels (default: the run's, or 256)")
    parser.add_argument("--run", metavar="RUN", help="measure the network of this run folder (default: random weights)")
    parser.add_argument("--batch", type=int, default=1, metavar="N", help="fill N photos at a time (default: 1)")
    parser.add_argument(
        "--precisions", metavar="LIST", help="measure these precisions, such as float32,int8 (default: all)"
    )
    options = parse(parser, 15, arguments)
    if options["run"] and options["filters"]:
        raise InputError("--filters is the base width of random weights: drop it, or drop --run")
    if picture := options["picture"]:
        check("--picture", picture, file_formats.check_output(Path(picture)) == "PNG", "a name that ends in .png")
    compare_runtimes(**options)


if __name__ == "__main__":
    raise SystemExit(main())
