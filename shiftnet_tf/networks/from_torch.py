"""Read PyTorch weight files, and convert the authors' weights to Keras networks.

A state dict maps names to arrays in PyTorch's layouts: convolutions [out, in, kernel, kernel], transposed ones [in,
out, kernel, kernel]. The U-Net is nested from the outside in: each block is inside its parent's `model`, at index 1 in
the outermost block and index 3 in the others. The network for faces numbers its layers, e1 to e8 and d1 to d8. Only
`read_state_dict` needs torch.
"""

import os
import pickle
import re
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import keras
import numpy as np

from shiftnet_tf.errors import InputError, first_line
from shiftnet_tf.layers.subpixel_upsampling import subpixel_kernel
from shiftnet_tf.networks.discriminator import Discriminator
from shiftnet_tf.networks.generator import Generator
from shiftnet_tf.system.packages import import_optional

if TYPE_CHECKING:
    import torch

# The variable for each tensor by its name in PyTorch, and the change of layout.
_Names = dict[str, tuple[keras.Variable, Callable[[np.ndarray], np.ndarray]]]


def read_state_dict(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """Read a PyTorch checkpoint file: float32 arrays by name.

    Raises:
        InputError: the file does not exist, is not a checkpoint, would run code, or is not a state dict.
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
        more = "is damaged, or contains code, which is never run"
        raise InputError(f"the checkpoint {more}: {path}") from error
    except Exception as error:  # damaged data lead to errors of every kind
        raise InputError(f"not a PyTorch checkpoint ({first_line(error)}): {path}") from error
    if not isinstance(content, dict) or not all(
        isinstance(name, str) and torch.is_tensor(value) for name, value in content.items()
    ):
        raise InputError(
            f"the checkpoint must be a state dict of names and tensors. Received: {type(content).__name__}"
        )
    return {name: _to_array(name, tensor) for name, tensor in content.items()}


def _to_array(name: str, tensor: "torch.Tensor") -> np.ndarray:
    """Return a tensor as a float32 array; refuse one with anything but finite real numbers."""
    try:
        if tensor.is_complex():
            raise TypeError("complex numbers")
        array = np.asarray(tensor.detach().to_dense().float())
    except (RuntimeError, TypeError, NotImplementedError) as error:
        raise InputError(f"the tensor {name!r} must contain real numbers: {first_line(error)}") from error
    if not np.isfinite(array).all():
        raise InputError(f"the tensor {name!r} contains values that are not finite")
    return array


def generator_from_torch(state_dict: Mapping[str, np.ndarray], image_size: int = 256) -> Generator:
    """Return a generator with the authors' weights: `unet_shift_triple`, `unet_256` or `face_unet_shift_triple`.

    The architecture, base width, depth, shift connections and mask channel are read from the tensors' names and shapes.

    Args:
        state_dict: arrays by the names of PyTorch's tensors.
        image_size: pixels. Defaults to 256.

    Returns:
        With the authors' nearest-neighbour feature mask.

    Raises:
        InputError: a tensor is missing, surplus or of the wrong shape; the message names it.
    """
    face = "e1_c.weight" in state_dict
    blocks = _face_blocks(state_dict) if face else _blocks(state_dict)
    first = _kernel(state_dict, blocks[0]["down"])
    # The input of a block's transposed convolution: two or, with a shift, three features of its own width.
    widths = [[_kernel(state_dict, block[side]).shape[0] for side in ("down", "up")] for block in blocks[:-1]]
    shift_layers = [layer for layer, (down, up) in enumerate(widths, start=1) if up == 3 * down]
    generator = Generator(
        image_size=image_size,
        filters=first.shape[0],
        depth=len(blocks),
        shift_layers=tuple(shift_layers),
        shift="mirrored" if face else "hard",
        third_kernel_size=6 if face else 4,
        feature_mask="nearest",
        mask_channel=first.shape[1] == 4,
    )
    generator.build()

    names: _Names = {}
    for i, block in enumerate(blocks):
        names |= _convolution(generator.encoder_convolutions[i], block["down"])
        names |= _convolution(generator.decoder_ups[i], block["up"], _from_transposed)
        if 0 < i < len(blocks) - 1:
            names |= _norm(generator.encoder_norms[i - 1], block["down_norm"])
        if i > 0:
            names |= _norm(generator.decoder_norms[i - 1], block["up_norm"])
    _assign(names, state_dict)
    return generator


def discriminator_from_torch(state_dict: Mapping[str, np.ndarray]) -> Discriminator:
    """Return a discriminator with the weights of the authors' PatchGAN without spectral norm.

    Args:
        state_dict: arrays by the names of PyTorch's tensors.

    Raises:
        InputError: a tensor is missing, surplus or of the wrong shape; the message names it.
    """
    indices = sorted({int(name.split(".")[1]) for name in state_dict if re.fullmatch(r"model\.\d+\.weight", name)})
    convolutions = [i for i in indices if np.ndim(state_dict[f"model.{i}.weight"]) == 4]
    if len(convolutions) < 3:
        raise InputError(f"no discriminator with 3 convolutions or more. Received: {', '.join(sorted(state_dict)[:5])}")
    discriminator = Discriminator(
        filters=_kernel(state_dict, f"model.{convolutions[0]}").shape[0], depth=len(convolutions) - 2
    )
    discriminator.build()
    names: _Names = {}
    for i, layer in zip(convolutions, discriminator.convolutions):
        names |= _convolution(layer, f"model.{i}")
    for i, layer in zip(convolutions[1:-1], discriminator.norms):
        names |= _norm(layer, f"model.{i + 1}")
    _assign(names, state_dict)
    return discriminator


def _blocks(state_dict: Mapping[str, np.ndarray]) -> list[dict[str, str]]:
    """Return the prefixes of the tensors of each U-Net block, from the outermost to the innermost."""
    blocks: list[dict[str, str]] = []
    prefix = "model.model"
    while True:
        outermost = not blocks
        inner = f"{prefix}.1.model" if outermost else f"{prefix}.3.model"
        innermost = not any(name.startswith(inner) for name in state_dict)
        block = {"down": f"{prefix}.{0 if outermost else 1}", "down_norm": f"{prefix}.2"}
        if outermost or innermost:
            up = 3
        else:
            up = 5 if f"{prefix}.5.weight" in state_dict else 7  # guidance and shift layers take two indices
        blocks.append(block | {"up": f"{prefix}.{up}", "up_norm": f"{prefix}.{up + 1}"})
        if innermost:
            return blocks
        prefix = inner


def _face_blocks(state_dict: Mapping[str, np.ndarray]) -> list[dict[str, str]]:
    """Return the same for the network for faces: d1 is the innermost."""
    depth = sum(bool(re.fullmatch(r"e\d+_c\.weight", name)) for name in state_dict)
    pairs = zip(range(1, depth + 1), range(depth, 0, -1))
    return [{"down": f"e{i}_c", "down_norm": f"e{i}_norm", "up": f"d{j}_dc", "up_norm": f"d{j}_norm"} for i, j in pairs]


def _from_torch(kernel: np.ndarray) -> np.ndarray:
    return kernel.transpose(2, 3, 1, 0)  # [out, in, h, w] -> [h, w, in, out]


def _from_transposed(kernel: np.ndarray) -> np.ndarray:
    return subpixel_kernel(kernel.transpose(2, 3, 1, 0))  # [in, out, h, w] -> [h, w, out, in] -> subpixel


def _convolution(
    layer: keras.layers.Layer, name: str, convert: Callable[[np.ndarray], np.ndarray] = _from_torch
) -> _Names:
    return {f"{name}.weight": (layer.kernel, convert), f"{name}.bias": (layer.bias, np.asarray)}


def _norm(layer: keras.layers.Layer, name: str) -> _Names:
    return {f"{name}.weight": (layer.gamma, np.asarray), f"{name}.bias": (layer.beta, np.asarray)}


def _tensor(state_dict: Mapping[str, np.ndarray], name: str) -> np.ndarray:
    if name not in state_dict:
        raise InputError(f"the checkpoint has no tensor {name!r}")
    return np.asarray(state_dict[name])


def _kernel(state_dict: Mapping[str, np.ndarray], name: str) -> np.ndarray:
    kernel = _tensor(state_dict, f"{name}.weight")
    if kernel.ndim != 4 or 0 in kernel.shape:
        raise InputError(f"the tensor '{name}.weight' must be the kernel of a convolution. Received: {kernel.shape}")
    return kernel


def _assign(names: _Names, state_dict: Mapping[str, np.ndarray]) -> None:
    surplus = sorted(set(state_dict) - set(names))
    if surplus:
        raise InputError(f"the checkpoint has a tensor that this network does not have: {surplus[0]!r}")
    for name, (variable, convert) in names.items():
        tensor = _tensor(state_dict, name)
        wanted = np.prod(variable.shape)
        if tensor.ndim not in (1, 4) or tensor.size != wanted or convert(tensor).shape != tuple(variable.shape):
            raise InputError(f"the tensor {name!r} must fit {tuple(variable.shape)}. Received: {tensor.shape}")
        variable.assign(convert(tensor))
