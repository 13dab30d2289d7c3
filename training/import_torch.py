"""Turns a checkpoint of the authors' PyTorch code into a run, which the exporters and evaluate.py take like any other.

    python training/import_torch.py latest_net_G.pth --out runs/authors
    python export/export_onnx.py runs/authors --out models/authors
    python export/export_tflite.py runs/authors --out models/authors

It takes the state dict of the generators `unet_shift_triple`, `unet_256` and `face_unet_shift_triple` with instance
normalisation; base width, depth, shift connections and the mask channel are read from the tensors' names and shapes.
Reading needs torch, in its weights-only mode: nothing in the file is run.
"""

import argparse
import dataclasses
import pickle
import warnings
from pathlib import Path

import numpy as np

from shiftnet_tf.system.quiet import import_tensorflow

import_tensorflow()

from shiftnet_tf.config.model import ModelConfig
from shiftnet_tf.config.run import Config
from shiftnet_tf.errors import InputError, check_folder, first_line
from shiftnet_tf.networks import from_torch
from shiftnet_tf.run_folder import Run
from shiftnet_tf.system.atomic import check_room, existing_parent, write_atomically
from shiftnet_tf.system.command import command
from shiftnet_tf.system.packages import import_optional


def read_state_dict(path):
    """The tensors of a checkpoint file as numpy arrays.

    Args:
        path: str or Path.

    Returns:
        dict of name to numpy array.

    Raises:
        InputError: no such file, no checkpoint, one that would run code, or no state dict.
        MissingPackageError: torch is not installed.
    """
    torch = import_optional("torch", "torch==2.13.0", "reading a PyTorch checkpoint")
    if not Path(path).is_file():
        raise InputError(f"the checkpoint does not exist: {path}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        more = "is damaged or holds more than tensors, and code is not run"
        raise InputError(f"the checkpoint {more}: {path}") from error
    except Exception as error:  # damaged bytes end in errors of every kind
        raise InputError(f"the file is no PyTorch checkpoint ({first_line(error)}): {path}") from error
    if not isinstance(content, dict) or not all(
        isinstance(name, str) and torch.is_tensor(value) for name, value in content.items()
    ):
        raise InputError(f"the checkpoint must be a state dict, names to tensors. Received: {type(content).__name__}")
    return {name: to_array(name, tensor) for name, tensor in content.items()}


def to_array(name, tensor):
    """A tensor of weights as float32 array; refuses one that holds no finite numbers."""
    try:
        if tensor.is_complex():
            raise TypeError("complex numbers")
        array = tensor.detach().to_dense().float().numpy()
    except (RuntimeError, TypeError, NotImplementedError) as error:
        raise InputError(f"the tensor {name!r} holds no plain numbers: {first_line(error)}") from error
    if not np.isfinite(array).all():
        raise InputError(f"the tensor {name!r} holds values that are not finite")
    return array


@command
def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", help="state dict of the generator, a .pth file")
    parser.add_argument("--out", required=True, metavar="RUN", help="run folder to make")
    parser.add_argument("--image-size", type=int, default=256, help="pixels that it was trained at; default: 256")
    options = parser.parse_args(arguments)
    check_folder("--out", options.out)
    generator = from_torch.generator_from_torch(read_state_dict(options.checkpoint), options.image_size)
    names = {field.name for field in dataclasses.fields(ModelConfig)}
    values = {name: value for name, value in generator.get_config().items() if name in names}
    model = ModelConfig(**{**values, "shift_layers": tuple(values["shift_layers"])})
    short_side = max(Config().data.short_side, options.image_size)
    check_room(existing_parent(options.out), 5 * generator.count_params(), "the weights")
    run = Run.create(options.out, Config(model=model, data=dataclasses.replace(Config().data, short_side=short_side)))
    write_atomically(run.generator_weights, generator.save_weights)
    shifts = f"{model.shift} shift at layers {list(model.shift_layers)}" if model.shift_layers else "no shift"
    print(f"{run.path}: {generator.count_params():,} weights, base width {model.filters}, {shifts}")


if __name__ == "__main__":
    raise SystemExit(main())
