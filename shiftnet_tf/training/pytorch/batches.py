"""Photos, masks and batches in the memory of a GPU."""

import functools
import multiprocessing
from multiprocessing.pool import ThreadPool

import numpy as np
import torch
import torch.nn.functional as F

from shiftnet_tf.config.run import Config
from shiftnet_tf.system.machine import usable_cores
from shiftnet_tf.training.photo_folder import PhotoFolder, mask_sampler


def read_all(folder: PhotoFolder) -> list[torch.Tensor]:
    """All photos of a PhotoFolder: list of uint8 [3, H, W]."""
    with ThreadPool(usable_cores()) as pool:
        return pool.map(lambda i: torch.from_numpy(folder.load(i).transpose(2, 0, 1).copy()), range(len(folder)))


def draw_masks(config: Config, count: int) -> np.ndarray:
    """Draw at least `count` masks, packed bits [N, S, S / 8], on all cores; call it before the GPU is used."""
    cores = usable_cores()
    drawn = functools.partial(_draw_part, config, -(-count // (4 * cores)))
    with multiprocessing.get_context("fork").Pool(cores) as pool:
        return np.concatenate(pool.map(drawn, range(4 * cores)))


def _draw_part(config: Config, count: int, part: int) -> np.ndarray:
    draw, rng = mask_sampler(config), np.random.default_rng([config.training.seed, part])
    return np.packbits(np.stack([draw(rng) for _ in range(count)]), axis=-1)


class Batches:
    """Draws each batch into the same tensors, which a CUDA graph reads: `image`, `mask`, `middles` (of the window).

    Crops, mirroring and colours are drawn as `training.dataset` draws them, from other random numbers.
    """

    def __init__(self, photos: list[torch.Tensor], masks: np.ndarray, config: Config, device: str) -> None:
        size, count = config.model.image_size, config.training.batch_size
        self.photos = [photo.to(device) for photo in photos]
        self.masks = torch.from_numpy(masks).to(device)
        self.config, self.rng = config, np.random.default_rng(config.training.seed)
        self.order: list[int] = []  # photos that are still to come in this round
        self.image = placed(torch.zeros(count, 3, size, size), device)
        self.mask = torch.zeros(count, 1, size, size, device=device)
        self.middles = torch.zeros(count, 2, dtype=torch.int64, device=device)
        self.bits = torch.arange(7, -1, -1, device=device, dtype=torch.uint8)
        self.pixel_rng = torch.Generator(device).manual_seed(config.training.seed)

    def draw(self) -> None:
        count, _, size, _ = self.image.shape
        image = self._recolour(torch.cat([self._crop(size) for _ in range(count)]))
        self.image.copy_(image / 127.5 - 1.0)
        chosen = torch.from_numpy(self.rng.integers(len(self.masks), size=count)).to(self.image.device)
        mask = ((self.masks[chosen][..., None] >> self.bits) & 1).reshape(self.mask.shape)
        mirrored = torch.from_numpy(self.rng.random((count, 1, 1, 1)) < 0.5).to(self.image.device)
        self.mask.copy_(torch.where(mirrored, mask.flip(3), mask))
        pixel = torch.multinomial(self.mask.flatten(1), 1, generator=self.pixel_rng)[:, 0]
        self.middles.copy_(torch.stack([pixel // size, pixel % size], 1))

    def _crop(self, size: int) -> torch.Tensor:
        """A random square of the next photo, scaled down: float32 [1, 3, S, S], grey levels."""
        if not self.order:
            self.order = list(self.rng.permutation(len(self.photos)))
        photo, data = self.photos[self.order.pop()], self.config.data
        height, width = photo.shape[1:]
        most = min(data.largest_crop, min(height, width) / size)
        side = min(round(size * most ** self.rng.random()), height, width)
        top, left = self.rng.integers(height - side + 1), self.rng.integers(width - side + 1)
        crop = photo[None, :, top : top + side, left : left + side].float()
        if side != size:
            crop = F.interpolate(crop, size=(size, size), mode="bilinear", antialias=True)
        return crop.flip(3) if data.flip and self.rng.random() < 0.5 else crop

    def _recolour(self, image: torch.Tensor) -> torch.Tensor:
        strength = self.config.data.colour
        amount = self.rng.uniform(1 - strength, 1 + strength, (3, len(image), 1, 1, 1)).astype(np.float32)
        contrast, saturation, brightness = torch.from_numpy(amount).to(image.device)
        mean = image.mean((2, 3), keepdim=True)
        image = mean + (image - mean) * contrast
        grey = (image * image.new_tensor([0.2989, 0.587, 0.114])[:, None, None]).sum(1, keepdim=True)
        return ((grey + (image - grey) * saturation) * brightness).clamp(0.0, 255.0)


def placed(tensor: torch.Tensor, device: str) -> torch.Tensor:
    return tensor.to(device, memory_format=torch.channels_last) if tensor.ndim == 4 else tensor.to(device)
