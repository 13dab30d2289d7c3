"""How fast the network is on this machine: every runtime and precision beside plain PyTorch and plain Keras.

    python benchmarks/runtimes.py --json benchmark.json --picture benchmark.png
    python benchmarks/runtimes.py --run runs/mine --threads 4 --without-torch
    python benchmarks/runtimes.py --large                  # 256 to 1024 pixels: time, peak memory, their growth

By default the paper's network at base width 64 with random weights. It is exported in every precision, and each file
is timed on the CPU. Each measurement is a new process, and runs are interleaved so that machine drift affects all
equally: compare only the ratios of one run. The plain networks have the weights of ours and must give the same picture.
PyTorch gets its inputs as floats, prepared beforehand, and the others take the photo as uint8: that favours PyTorch.

ms: median for one photo. GFLOP/s: the nominal arithmetic of the (transposed) convolutions, two operations a
multiply-add (13.2 GFLOP at base width 64 and 256x256), over that time; the float32 peak is numpy's best matrix
product on as many threads, which files of 8 bits may pass. memory: peak of a process that does
nothing else, its libraries included. cold start: from starting a process to the first picture, with the file in the
disk cache.
"""

import argparse
from pathlib import Path

from shiftnet_tf.system.quiet import import_tensorflow

import_tensorflow()

from harness.report import parse
from harness.runtimes import compare_runtimes
from shiftnet_tf.errors import InputError
from shiftnet_tf.photos import image_files
from shiftnet_tf.system.command import command


def read_options(arguments):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--picture", metavar="FILE", help="draw the times in this PNG")
    parser.add_argument("--filters", type=int, help="base width of random weights (default: 64)")
    parser.add_argument("--image-size", type=int, help="pixels (default: 256, or the run's)")
    parser.add_argument("--run", metavar="RUN", help="measure the network of this run folder (default: random weights)")
    parser.add_argument("--batch", type=int, default=4, help="measure batches of this many too (default: 4; 1: none)")
    parser.add_argument("--precisions", metavar="LIST", help="such as float32,int8 (default: all)")
    more = "calibrate int8 on these photos (default: the run's, else crops of the samples)"
    parser.add_argument("--calibration-photos", metavar="DIR", help=more)
    parser.add_argument("--large", action="store_true", help="measure float32 at 256, 512, 768 and 1024 pixels too")
    parser.add_argument("--keep", metavar="DIR", help="keep the exported files in this new folder")
    options = parse(parser, 15, arguments)
    if options.run and options.filters:
        raise InputError("--filters is the base width of random weights: a --run has its own")
    if options.keep and Path(options.keep).exists():
        raise InputError(f"--keep must be a new folder. Received: {options.keep!r}")
    if options.picture and image_files.format_of(Path(options.picture).suffix) != "PNG":
        raise InputError(f"--picture must end in .png. Received: {options.picture!r}")
    return options


@command
def main(arguments=None):
    compare_runtimes(read_options(arguments))


if __name__ == "__main__":
    raise SystemExit(main())
