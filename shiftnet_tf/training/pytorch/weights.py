"""Files of weights: `read_weights` and `write_weights` for the `*.weights.h5` of Keras, in PyTorch's layouts."""

from pathlib import Path

import h5py
import numpy as np
import torch

Weights = dict[str, torch.Tensor]  # by Keras's names, in PyTorch's layouts
_TAPS = ((2, 0), (3, 1))  # as in layers/subpixel_upsampling.py


def read_weights(path: Path) -> Weights:
    """Return a dict of Keras's names to float32 tensors in PyTorch's layouts."""
    found = {}
    with h5py.File(path) as file:
        file.visititems(lambda name, item: found.update({name: item[()]}) if isinstance(item, h5py.Dataset) else None)
    return {name: _to_torch(name, value.astype(np.float32)) for name, value in found.items()}


def write_weights(template: Path, path: Path, weights: Weights) -> None:
    """Write a file of weights for Keras.

    Args:
        template: file of the same network; everything except the values is copied from it.
        path: the file to write; an existing one is replaced.
        weights: as returned by `read_weights`.

    Raises:
        ValueError: a tensor has the wrong shape.
    """
    with h5py.File(template) as source, h5py.File(path, "w") as target:

        def copy(name: str, item: h5py.Dataset | h5py.Group) -> None:
            if not isinstance(item, h5py.Dataset):
                target.require_group(name).attrs.update(item.attrs)
                return
            value = _from_torch(name, weights[name].detach().float().cpu().numpy())
            if value.shape != item.shape:
                raise ValueError(f"{name} must have the shape {item.shape}. Received: {value.shape}")
            target[name] = value

        source.visititems(copy)
        target.attrs.update(source.attrs)


def _upsamples(name: str) -> bool:
    return name.startswith(("decoder_ups/", "detail_gate/")) and name.endswith("vars/0")


def _to_torch(name: str, value: np.ndarray) -> torch.Tensor:
    if value.ndim != 4:
        return torch.from_numpy(value.copy())
    if not _upsamples(name):
        return torch.from_numpy(value.transpose(3, 2, 0, 1).copy())
    filters = value.shape[-1] // 4
    kernel = np.zeros((value.shape[2], filters, 4, 4), np.float32)  # for a transposed convolution
    for a, rows in enumerate(_TAPS):
        for b, columns in enumerate(_TAPS):
            group = value[..., (2 * a + b) * filters : (2 * a + b + 1) * filters]
            for i, row in enumerate(rows):
                for j, column in enumerate(columns):
                    kernel[:, :, row, column] = group[i, j]
    return torch.from_numpy(kernel)


def _from_torch(name: str, value: np.ndarray) -> np.ndarray:
    if value.ndim != 4:
        return value
    if not _upsamples(name):
        return value.transpose(2, 3, 1, 0)
    groups = [
        np.stack([np.stack([value[:, :, row, column] for column in columns]) for row in rows])
        for rows in _TAPS
        for columns in _TAPS
    ]
    return np.concatenate(groups, axis=-1)
