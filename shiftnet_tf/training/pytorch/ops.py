"""Tensor functions without weights, as those of `shiftnet_tf.ops`; images are [B, C, H, W]."""

import torch
import torch.nn.functional as F

NEVER = -1e30  # added to the score of a position that must not be chosen


def composite(predicted: torch.Tensor, image: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    return torch.where(mask > 0.5, predicted, image)


def membrane(image: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    return _fill(torch.where(mask > 0.5, torch.zeros_like(image), image), 1.0 - mask)


def _fill(values: torch.Tensor, known: torch.Tensor) -> torch.Tensor:
    height, width = values.shape[2:]
    if height % 2 or width % 2:
        total = known.sum((2, 3), keepdim=True)
        mean = values.sum((2, 3), keepdim=True) / total.clamp(min=1.0)
        return values + (1.0 - known) * mean
    share = F.avg_pool2d(known, 2)
    coarse = F.avg_pool2d(values, 2) / share.clamp(min=0.25)
    coarse = _fill(coarse, (4.0 * share).clamp(max=1.0))
    filled = values + (1.0 - known) * F.interpolate(coarse, scale_factor=2, mode="bilinear")
    for _ in range(2):
        filled = values + (1.0 - known) * F.avg_pool2d(filled, 3, 1, 1, count_include_pad=False)
    return filled


def downsample_mask(mask: torch.Tensor, layers: int) -> torch.Tensor:
    for _ in range(layers):
        mask = F.avg_pool2d(mask, 4, 2, 1)
    return (mask >= 5 / 16).to(mask.dtype)


def gather(rows: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
    """Return rows [B, M, C] at index [B, N]: [B, N, C]."""
    return torch.gather(rows, 1, index[..., None].expand(-1, -1, rows.shape[-1]))
