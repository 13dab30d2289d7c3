"""Pack the best weights of a run into a small folder, in 16 bits: to keep, to share, or to start another run from.

    python training/pack_weights.py runs/mine saved_models/mine
    python training/train.py training/configs/finetune.toml --from saved_models/mine --set data.photos=~/photos

The folder holds config.toml, without the paths of the photos, generator.weights.h5 and discriminator.weights.h5. The
exporters and evaluate.py accept it like a run folder.
"""

import argparse
import dataclasses
from pathlib import Path

import h5py
import numpy as np

from shiftnet_tf.errors import InputError, check, check_folder
from shiftnet_tf.model_folder import SPEC_NAME
from shiftnet_tf.run_folder import Run
from shiftnet_tf.system.atomic import check_room, write_atomically
from shiftnet_tf.system.command import command

# What opens the gate for the detail of patches, as Keras names it in a file of weights.
GATE_BIAS, GATE_SHARE = "detail_gate/vars/1", "detail_gate/vars/2"


def parse(arguments):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", help="read this run folder")
    parser.add_argument("out", help="write to this folder")
    parser.add_argument(
        "--detail",
        type=float,
        default=0.0,
        metavar="D",
        help="open the gate for detail from model.patches by D, such as 0.4: sharper, lower PSNR (default: 0)",
    )
    parser.add_argument(
        "--detail-in-wide-holes",
        type=float,
        default=0.0,
        metavar="W",
        help="open it by W times the share of hole around each pixel, such as 3 with --detail -2 (default: 0)",
    )
    return parser.parse_args(arguments)


def without_folders(settings):
    """The config with no folder of this machine in it: of files that are needed their names alone are left."""
    data = dataclasses.replace(settings.data, photos=(), validation_photos=(), held_out="", validation_sets=())
    masks = dataclasses.replace(settings.masks, folder_path=Path(settings.masks.folder_path).name)
    losses = dataclasses.replace(settings.losses, vgg16_weights=Path(settings.losses.vgg16_weights).name)
    return dataclasses.replace(settings, data=data, masks=masks, losses=losses)


def write_half(source, path, added=None):
    """Copies a file of weights, float32 as float16.

    Args:
        source: Path.
        path: Path of the copy.
        added: dict of name to float, what is added to weights of the file.

    Raises:
        InputError: no HDF5, or a value that float16 cannot hold.
    """

    def copy(name, item):
        if not isinstance(item, h5py.Dataset):
            target.require_group(name).attrs.update(item.attrs)
            return
        values = item[()]
        if values.dtype == np.float32:
            values += (added or {}).get(name, 0.0)
            values = values.astype(np.float16)
            if not np.isfinite(values).all():
                raise InputError(f"{source} has weights that are not finite in 16 bits: {name}")
        target[name] = values

    try:
        with h5py.File(source) as file, h5py.File(path, "w") as target:
            file.visititems(copy)
            target.attrs.update(file.attrs)
    except OSError as error:
        raise InputError(f"cannot read {source} or write to {path.parent}: {error}") from error


@command
def main(arguments=None):
    options = parse(arguments)
    check_folder("OUT", options.out)
    run, out = Run.open(options.run), Path(options.out)
    packed = Run(out, without_folders(run.config))
    added = {GATE_BIAS: options.detail, GATE_SHARE: options.detail_in_wide_holes}
    for name, value in zip(("--detail", "--detail-in-wide-holes"), added.values()):
        check(name, value, abs(value) <= 10, "from -10 to 10")
        check(name, value, run.config.model.patches or not value, "0 if model.patches is false")
    if not run.generator_weights.is_file():
        raise InputError(f"the run has no {run.generator_weights.name} yet: {run.path}")
    if packed.checkpoints.exists() or (out / "log.txt").exists():
        raise InputError(f"{out} is a run: the packed weights must go to a folder of their own")
    if (out / SPEC_NAME).exists():
        raise InputError(f"{out} holds an export of other weights: choose another folder, or delete it first")
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot create the folder {out}: {error.strerror}") from error
    packed.write_config()
    pairs = [(run.generator_weights, packed.generator_weights, added)]
    if run.discriminator_weights.is_file():  # import_torch.py makes none
        pairs.append((run.discriminator_weights, packed.discriminator_weights, None))
    for source, path, added in pairs:
        check_room(out, source.stat().st_size, "the weights")
        write_atomically(path, lambda part, source=source, added=added: write_half(source, part, added))
        print(f"{path}: {path.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    raise SystemExit(main())
