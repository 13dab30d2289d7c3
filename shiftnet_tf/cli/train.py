"""`shiftnet train`, also available as training/train.py."""

import argparse
import datetime
import functools
import os
from pathlib import Path

from shiftnet_tf.cli.parsing import Subcommand
from shiftnet_tf.config import toml_file
from shiftnet_tf.config.run import Config
from shiftnet_tf.errors import InputError, check
from shiftnet_tf.system.bundled import config_names, find_config, find_preset
from shiftnet_tf.system.machine import keep_freed_memory
from shiftnet_tf.system.packages import check_installed
from shiftnet_tf.system.quiet import load_tensorflow

_DESCRIPTION = """
Train Shift-Net from a config and photos. Everything that a run produces goes into its run folder.

  shiftnet train compact --set data.photos=~/photos --run-dir runs/mine
  shiftnet train finetune --from compact --set data.photos=~/photos
  shiftnet train --resume --run-dir runs/mine

In a checkout `python training/train.py` takes the same arguments.
"""


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    names = config_names()
    default = " (default: demo)" if "demo" in names else ""
    parser.add_argument(
        "config", nargs="?", metavar="CONFIG", help=f"use this config: {', '.join(names)}, or a TOML file{default}"
    )
    parser.add_argument("--run-dir", metavar="DIR", help="write to this folder (default: runs/CONFIG-TIME, in UTC)")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="override a config value, such as training.epochs=5",
    )
    parser.add_argument(
        "--from",
        dest="start",
        metavar="PRESET",
        help="start from bundled weights (compact) or those of this run folder (default: random weights)",
    )
    parser.add_argument("--resume", action="store_true", help="resume --run-dir from its last checkpoint")
    parser.add_argument("--require-gpu", action="store_true", help="exit with code 3 if there is no GPU")
    parser.add_argument(
        "--devices",
        metavar="N|auto",
        help="split each batch across N GPUs of this machine; auto for all of them (default: 1)",
    )


def _check(options: argparse.Namespace) -> None:
    for name, value in (("--run-dir", options.run_dir), ("--from", options.start)):
        check(name, value, value != "", "the name of a folder")
    if options.resume and options.start:
        raise InputError("--resume takes the weights from the checkpoint: leave out --from")
    if options.resume and (options.config or not options.run_dir):
        raise InputError("--resume takes the config from the run folder: pass --run-dir and no CONFIG")
    if not options.resume and not options.config and "demo" not in config_names():
        raise InputError(f"no config given: pass {', '.join(config_names())}, or a TOML file")


def _new_run(options: argparse.Namespace) -> tuple[Config, str | os.PathLike[str]]:
    """Return the config of a new run, and the path of its folder."""
    source = find_config(options.config or "demo")
    settings = toml_file.read(source, options.set)
    if not settings.data.photos:
        raise InputError(f"{source} lists no photos: pass --set data.photos=FOLDER")
    time = datetime.datetime.now(datetime.UTC).strftime("%Y%m%dT%H%M%SZ")
    return settings, options.run_dir or Path("runs") / f"{source.stem}-{time}"


def _run(options: argparse.Namespace) -> None:
    check_installed("tensorflow", "train", "training")
    _check(options)
    settings, folder = (None, options.run_dir) if options.resume else _new_run(options)
    start = find_preset(options.start) if options.start else None
    if options.whole_process:
        keep_freed_memory()  # before TensorFlow starts its threads
    load_tensorflow()
    from shiftnet_tf.training.fitting import fit, read_resumable

    settings = settings or read_resumable(options.run_dir, options.set)
    fit(
        settings,
        folder,
        start=start,
        resume=options.resume,
        require_gpu=options.require_gpu,
        devices=int(options.devices) if (options.devices or "").isdecimal() else options.devices,
        log=functools.partial(print, flush=True),
    )


TRAIN = Subcommand("train a model on your photos", _DESCRIPTION, _add_arguments, _run)
