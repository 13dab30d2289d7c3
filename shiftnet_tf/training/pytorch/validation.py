"""Photos filled in the centre, and how well: `fill_center` and `validate`."""

import math
from collections.abc import Sequence

import numpy as np
import torch

from shiftnet_tf.config.run import Config
from shiftnet_tf.masks import sampling
from shiftnet_tf.training.pytorch.networks import generate
from shiftnet_tf.training.pytorch.ops import composite
from shiftnet_tf.training.pytorch.pretrained import EfficientNetLite, deep_distance
from shiftnet_tf.training.pytorch.weights import Weights


@torch.no_grad()
def fill_center(
    weights: Weights, photo: torch.Tensor, config: Config, device: str
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Fill the centre hole of a crop from the middle of a photo.

    Args:
        weights: of the generator, as `networks.generate` takes them.
        photo: uint8 [3, H, W]; H and W are at least S.
        config: Config of the run.
        device: torch device.

    Returns:
        (crop, crop with the hole filled, hole): float32 [1, 3, S, S] twice, in grey levels, and [1, 1, S, S].
    """
    size = config.model.image_size
    hole = torch.from_numpy(sampling.center(size, config.masks.overlap)).to(device).float()[None, None]
    top, left = ((side - size) // 2 for side in photo.shape[1:])
    image = photo[None, :, top : top + size, left : left + size].to(device).float()
    predicted, _ = generate(weights, image / 127.5 - 1.0, hole)
    return image, composite(((predicted + 1.0) * 127.5).round(), image, hole), hole


def validate(
    weights: Weights, photos: Sequence[torch.Tensor], network: EfficientNetLite, config: Config, device: str
) -> list[float]:
    """Return PSNR of the hole in dB and deep distance, as means over the centre holes of the photos' middles."""
    touched = np.flatnonzero(sampling.center(config.model.image_size, config.masks.overlap).any(axis=1))
    box = slice(int(touched[0]) - 8, int(touched[-1]) + 9)  # as networks.deep_distance has it
    found = []
    for photo in photos:
        image, filled, hole = fill_center(weights, photo, config, device)
        error = ((filled - image).square() * hole).sum() / (3 * hole.sum())
        parts = [x[:, :, box, box] / 127.5 - 1.0 for x in (image, filled)]
        with torch.no_grad():
            found.append((10 * math.log10(255.0**2 / float(error)), deep_distance(network, *parts)))
    return [round(float(value), 3) for value in np.mean(found, axis=0)]
