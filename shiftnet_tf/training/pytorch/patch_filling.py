"""Fill the hole with patches of the known region, as ops/patch_filling.py does: `fill_from_patches`."""

import math

import torch
import torch.nn.functional as F

from shiftnet_tf.training.pytorch.ops import NEVER, gather, membrane


class _Level:
    """One level of ops/patch_filling.py; offsets are [B, N, 2]."""

    def __init__(
        self, smooth: torch.Tensor, known: torch.Tensor, scale: int, size: int, coarser: torch.Tensor | None = None
    ) -> None:
        self.scale, self.size, self.n = scale, size, smooth.shape[2] // scale
        share = F.avg_pool2d(known, scale)
        self.known = (share > 0.999).float()
        average = F.avg_pool2d(smooth * known, scale) / share.clamp(min=1e-3)
        begin = F.avg_pool2d(smooth, scale)
        if coarser is not None:
            begin = torch.where(share > 0.5, average, F.interpolate(coarser, size=(self.n, self.n), mode="bilinear"))
        self.values = begin
        self.whole = 1.0 - F.max_pool2d(1.0 - self.known, 3, 1, 1)
        self.flat_whole = self.whole.flatten(1)[..., None]  # [B, N, 1]
        self.confidence = _confidence(self.known, self.n).flatten(1)[..., None]
        places = torch.arange(self.n, device=smooth.device, dtype=torch.float32)
        self.rows = torch.stack(torch.meshgrid(places, places, indexing="ij"), -1).reshape(1, -1, 2)

    def patches(self, size: int) -> torch.Tensor:
        padded = F.pad(self.values, [size // 2] * 4, mode="reflect")
        return F.unfold(padded, size).transpose(1, 2).contiguous()  # [B, N, C * size * size]

    def search(self) -> torch.Tensor:
        patches = self.patches(self.size)
        penalty = 0.5 * patches.square().sum(-1) - NEVER * (1.0 - self.flat_whole[..., 0])
        scores = torch.bmm(patches, patches.transpose(1, 2)) - penalty[:, None]
        nearest = scores.argmax(-1)
        place = torch.stack([nearest // self.n, nearest % self.n], -1).float()
        return (place - self.rows) * (1.0 - self.flat_whole) * self.flat_whole.amax(1, keepdim=True)

    def sources(self, offsets: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        place = self.rows + offsets
        inside = place.clamp(0.0, self.n - 1.0)
        index = (inside[..., 0] * self.n + inside[..., 1]).long()
        strayed = (place - inside).abs().amax(-1, keepdim=True) > 0
        whole = gather(self.flat_whole, index)
        return index, torch.where(strayed, torch.zeros_like(whole), whole)

    def propagate(self, offsets: torch.Tensor, step: int) -> torch.Tensor:
        patches = self.patches(self.size)
        grid = offsets.transpose(1, 2).reshape(-1, 2, self.n, self.n)
        padded = F.pad(grid, [step] * 4, mode="reflect")
        best_score: torch.Tensor | None = None
        for i in (0, step, 2 * step):
            for j in (0, step, 2 * step):
                tried = padded[:, :, i : i + self.n, j : j + self.n].flatten(2).transpose(1, 2)
                index, whole = self.sources(tried)
                distance = (gather(patches, index) - patches).square().sum(-1, keepdim=True)
                score = NEVER * (1.0 - whole) - distance
                if best_score is None:
                    best_score, best = score, tried
                else:
                    better = score > best_score
                    best_score, best = torch.where(better, score, best_score), torch.where(better, tried, best)
        return best * (1.0 - self.flat_whole)

    def vote(self, offsets: torch.Tensor) -> torch.Tensor:
        index, whole = self.sources(offsets)
        weight = self.confidence * whole  # [B, N, 1]
        votes = gather(self.patches(3), index) * weight  # [B, N, 9C]
        sums = F.fold(votes.transpose(1, 2), (self.n, self.n), 3, padding=1)
        weights = F.fold(weight.transpose(1, 2).expand(-1, 9, -1), (self.n, self.n), 3, padding=1)
        average = sums / weights.clamp(min=1e-12)
        self.values = torch.where((self.known > 0.5) | (weights < 1e-12), self.values, average)
        return self.values

    def copy(self, offsets: torch.Tensor, smooth: torch.Tensor) -> torch.Tensor:
        index, whole = self.sources(offsets)
        scale, half = self.scale, self.scale // 2
        framed = torch.cat([smooth[:, :, :half].flip(2), smooth, smooth[:, :, -half:].flip(2)], 2)  # SYMMETRIC
        framed = torch.cat([framed[..., :half].flip(3), framed, framed[..., -half:].flip(3)], 3)
        windows = F.unfold(framed, 2 * scale, stride=scale).transpose(1, 2)
        taken = torch.where(whole > 0.5, gather(windows, index), windows)
        steps = torch.arange(2 * scale, device=smooth.device, dtype=torch.float32)
        bell = torch.sin(math.pi * (steps + 0.5) / (2 * scale)) ** 2
        weights = (bell[:, None] * bell).reshape(1, 1, -1).repeat(1, 1, smooth.shape[1])
        size = framed.shape[2:]
        blended = F.fold((taken * weights).transpose(1, 2), size, 2 * scale, stride=scale)
        ones = weights[:, :, : 4 * scale * scale].expand(1, self.n**2, -1).transpose(1, 2)
        total = F.fold(ones, size, 2 * scale, stride=scale)
        return (blended / total)[:, :, half:-half, half:-half]


def _confidence(known: torch.Tensor, n: int) -> torch.Tensor:
    reach = 1
    while reach < n:
        width = 2 * reach + 1
        around = F.max_pool2d(known, (width, 1), 1, (reach, 0))
        around = F.max_pool2d(around, (1, width), 1, (0, reach))
        known = torch.maximum(known, around * 1.3**-reach)
        reach *= 2
    return known


@torch.no_grad()
def fill_from_patches(image: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    smooth, known = membrane(image, mask), 1.0 - mask
    level = _Level(smooth, known, 8, 7)
    for _ in range(2):
        offsets = level.search()
        values = level.vote(offsets)
    n = level.n
    level = _Level(smooth, known, 4, 5, values)
    grid = (2.0 * offsets).reshape(-1, n, n, 2)
    offsets = grid.repeat_interleave(2, 1).repeat_interleave(2, 2).reshape(-1, 4 * n * n, 2)
    for i, step in enumerate((2, 1)):
        if i > 0:
            level.vote(offsets)
        offsets = level.propagate(offsets, step)
    return torch.where(mask > 0.5, level.copy(offsets, smooth), smooth)
