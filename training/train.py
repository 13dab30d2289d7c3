"""Trains Shift-Net: a config and a run folder in, a run folder out.

    python training/train.py                                   # the demo, on the photos of this repository
    python training/train.py training/configs/compact.toml --set data.photos=~/photos
    python training/train.py --resume --run-dir runs/compact-20261122T120000Z

Each run has all it leaves in its folder, see shiftnet_tf/run_folder.py.
"""

import argparse
import datetime
from pathlib import Path

from shiftnet_tf.errors import InputError, check
from shiftnet_tf.system.command import command
from shiftnet_tf.system.machine import keep_freed_memory
from shiftnet_tf.system.quiet import import_tensorflow

if __name__ == "__main__":
    keep_freed_memory()  # before TensorFlow starts its threads
import_tensorflow()

from shiftnet_tf.config import toml_file
from shiftnet_tf.training.fitting import fit, read_resumable

ROOT = Path(__file__).resolve().parent.parent


def parse(arguments):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", nargs="?", help="TOML file; default: training/configs/demo.toml")
    parser.add_argument("--run-dir", help="folder of the run; default: runs/<config>-<UTC time>")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="such as training.epochs=5")
    parser.add_argument("--from", dest="start", metavar="DIR", help="begin with the weights of this run or saved model")
    parser.add_argument("--resume", action="store_true", help="go on with --run-dir from its last checkpoint")
    parser.add_argument("--require-gpu", action="store_true", help="end with exit code 3 where there is no GPU")
    parser.add_argument("--devices", metavar="N|auto", help="GPUs of this machine that share each batch; default: 1")
    options = parser.parse_args(arguments)
    for name, value in (("--run-dir", options.run_dir), ("--from", options.start)):
        check(name, value, value != "", "the name of a folder")
    if options.resume and options.start:
        raise InputError("--resume has the weights of its checkpoint: give no --from")
    if options.resume and (options.config or not options.run_dir):
        raise InputError("--resume takes the config from the run folder: give --run-dir and no config")
    return options


def read_settings(options):
    """The config of a new run, and where its folder will be."""
    source = Path(options.config or ROOT / "training" / "configs" / "demo.toml")
    settings = toml_file.read(source, options.set)
    if not settings.data.photos:
        raise InputError(f"{source} names no photos: give --set data.photos=FOLDER")
    time = datetime.datetime.now(datetime.UTC).strftime("%Y%m%dT%H%M%SZ")
    return settings, options.run_dir or ROOT / "runs" / f"{source.stem}-{time}"


@command
def main(arguments=None):
    options = parse(arguments)
    if options.resume:
        settings, folder = read_resumable(options.run_dir, options.set), options.run_dir
    else:
        settings, folder = read_settings(options)
    devices = int(options.devices) if (options.devices or "").isdecimal() else options.devices
    fit(
        settings,
        folder,
        start=options.start,
        resume=options.resume,
        require_gpu=options.require_gpu,
        devices=devices,
        log=say,
    )


def say(line):
    print(line, flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
